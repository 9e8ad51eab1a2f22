"""Counting whole chat requests: messages with tool calls, tool definitions, and what a provider's format puts around them.

Sources, and what is exact:

* OpenAI's chat format: OpenAI's cookbook "How to count tokens with tiktoken": three tokens a message, its texts, one more for a
  name, three before the reply. The same page counts tool definitions whose parameters are flat and described. Both give
  the figures that the page reports from the API, and are taken as exact.
* Nobody publishes how tool calls in messages, or nested parameters, are written. They are counted as an upper bound: every text
  in them, ids included, with more framing than was ever measured; of nested parameters the whole JSON. Such counts say that they
  are bounds.
* Images count by the provider's published rule (`images.py`); a model without one refuses them.
* Anthropic publishes no framing, only what it adds once a request has tools (at most 530 tokens, for Claude 3 Opus). Every other
  provider's framing is bounded alike: eight tokens a message lie above all public chat templates that were looked at.

Counting plain texts is in `counters.py`, which model has which counter in `models.py`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING

from contextkit.errors import InputError
from contextkit.tokens.images import ImageRule, base64_size, image_rule, image_tokens, read_data_url
from contextkit.tokens.vocabulary import encoding_names

if TYPE_CHECKING:
    from contextkit.protocols import TokenCounter
    from contextkit.types import JSON

CALL_FRAMING = 8
"""Tokens around one tool call in a message, at most: three were measured for one call, parallel calls have a wrapper each."""
_REMEMBERED = 65_536  # texts per counter; a digest and a number each
_SHORT = 2048  # characters; TiktokenCounter remembers these itself
_KNOWN = frozenset({"role", "name", "content", "tool_calls", "tool_call_id"})


@dataclass(frozen=True, slots=True)
class Framing:
    """What a provider's format costs beside the texts, in tokens.

    Attributes:
        name: "openai", "anthropic" or "generic".
        message: around each message.
        reply: before the reply.
        function: around each tool definition.
        tools: once, where there is any tool.
        exact: False where these are upper bounds.
        images: how images count, or None where no rule is public.
    """

    name: str
    message: int
    reply: int
    function: int
    tools: int
    exact: bool
    images: ImageRule | None = field(default=None, compare=False)


OPENAI_O200K = Framing("openai", 3, 3, 7, 12, exact=True)
OPENAI_CL100K = Framing("openai", 3, 3, 10, 12, exact=True)
ANTHROPIC = Framing("anthropic", 8, 8, 16, 530, exact=False)
GENERIC = Framing("generic", 8, 8, 16, 64, exact=False)


def framing_for(model: str | None) -> Framing:
    """The framing of a model's provider. None and the names of encodings are taken as OpenAI's."""
    from contextkit.tokens.models import base_name, is_claude, is_openai

    if model is None or model in encoding_names():
        return OPENAI_O200K if model == "o200k_base" else OPENAI_CL100K
    encoding = is_openai(model)
    images = image_rule(base_name(model))
    if encoding:
        return replace(OPENAI_O200K if encoding == "o200k_base" else OPENAI_CL100K, images=images)
    return replace(ANTHROPIC, images=images) if is_claude(base_name(model)) else GENERIC


class RememberedCounter:
    """A counter that counts no text twice: what it counted is remembered by the text's digest, without the text.

    Args:
        counter: does the counting; `name` and `exact` are its.
    """

    def __init__(self, counter: TokenCounter) -> None:
        self.name = counter.name
        self.exact = counter.exact
        self._counter = counter
        self._own_memory = hasattr(counter, "_cached")
        self._known: dict[bytes, int] = {}
        if hasattr(counter, "at_least"):
            self.at_least: Callable[[str], int] = counter.at_least

    def count(self, text: str) -> int:
        """The number of tokens of a text; 0 for ""."""
        if self._own_memory and len(text) <= _SHORT:
            return self._counter.count(text)
        key = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        found = self._known.get(key)
        if found is None:
            found = self._counter.count(text)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = found
        return found

    def count_many(self, texts: Sequence[str]) -> list[int]:
        """`count` of each text, in order."""
        return [self.count(text) for text in texts]


def remembered(counter: TokenCounter) -> RememberedCounter:
    """The remembering form of a counter; the same object for the same counter."""
    return _remembered(_Same(counter))


class _Same:
    """A counter as a key: the same object is the same key."""

    def __init__(self, counter: TokenCounter) -> None:
        self.counter = counter

    def __hash__(self) -> int:
        return id(self.counter)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.counter is self.counter


@lru_cache(maxsize=16)
def _remembered(same: _Same) -> RememberedCounter:
    return same.counter if isinstance(same.counter, RememberedCounter) else RememberedCounter(same.counter)


def message_tokens(messages: Sequence[Mapping[str, JSON]], counter: TokenCounter, framing: Framing = OPENAI_O200K) -> int:
    """The tokens of a list of chat messages in OpenAI's form, what comes before the reply included.

    Args:
        messages: mappings with "role", "content" (a string, None, or a list of {"type": "text", "text": ...} and {"type":
            "image_url", ...}) and perhaps "name", "tool_calls" (of an assistant) or "tool_call_id" (of a tool). Exact with texts
            and names alone, else an upper bound.
        counter: counts the texts.
        framing: of the provider; as it stands, OpenAI's.

    Raises:
        InputError: a message has another field or another kind of content; those have no public count.
    """
    return framing.reply + sum(_message(number, message, counter, framing) for number, message in enumerate(messages))


def _message(number: int, message: Mapping[str, JSON], counter: TokenCounter, framing: Framing) -> int:
    total = framing.message
    for key, value in message.items():
        if key not in _KNOWN:
            raise InputError(f"message {number}: cannot count the field {key!r}; known are {', '.join(sorted(_KNOWN))}")
        if key == "tool_calls":
            total += sum(call_tokens(*call, counter) for call in _calls(number, value))
            continue
        if key == "name":
            total += 1
        total += sum(counter.count_many(list(_texts(number, key, value))))
        if key == "content" and isinstance(value, Sequence) and not isinstance(value, str):
            total += sum(_image(number, part, framing) for part in value if _is_image(part))
    return total


def _is_image(part: JSON) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "image_url"


def _image(number: int, part: JSON, framing: Framing) -> int:
    """The tokens of one image part of OpenAI's form."""
    given = part.get("image_url") if isinstance(part, Mapping) else None
    url = given.get("url") if isinstance(given, Mapping) else None
    if not isinstance(given, Mapping) or not isinstance(url, str):
        raise InputError(f"message {number}: an image part needs image_url with a url: {str(part)[:80]!r}")
    if framing.images is None:
        raise InputError(f"message {number}: no rule is public for how this model counts images: describe the image in words")
    data = read_data_url(url)
    try:
        size = None if data is None else base64_size(data[1])
    except ValueError as error:
        raise InputError(f"message {number}: the image cannot be read: {error}") from error
    return image_tokens(framing.images, *(size or (0, 0)), str(given.get("detail") or "auto"))


def call_tokens(call_id: str, name: str, arguments: str, counter: TokenCounter) -> int:
    """An upper bound of the tokens of one tool call in an assistant's message."""
    return CALL_FRAMING + counter.count(call_id) + counter.count(name) + counter.count(arguments)


def _calls(number: int, value: JSON) -> Iterator[tuple[str, str, str]]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InputError(f"message {number}: tool_calls must be a list, not {type(value).__name__}")
    for call in value:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(call, Mapping) or not isinstance(function, Mapping):
            raise InputError(f"message {number}: a tool call needs an id and a function: {str(call)[:80]!r}")
        texts = (call.get("id"), function.get("name"), function.get("arguments"))
        if not all(isinstance(text, str) for text in texts):
            raise InputError(f"message {number}: id, name and arguments of a tool call must be texts: {str(call)[:80]!r}")
        yield texts  # type: ignore[misc]  # checked one line above


def _texts(number: int, key: str, value: JSON) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif key == "content" and isinstance(value, Sequence):
        for part in value:
            if _is_image(part):
                continue
            text = part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None
            if not isinstance(text, str):
                raise InputError(f"message {number}: cannot count a content part that is not text: {str(part)[:80]!r}")
            yield text
    elif value is not None or key != "content":
        raise InputError(f"message {number}: {key} must be text, not {type(value).__name__}")


def tool_tokens(
    tools: Sequence[tuple[str, str, Mapping[str, JSON]]], counter: TokenCounter, framing: Framing = OPENAI_O200K
) -> tuple[int, bool]:
    """The tokens of tool definitions, and whether that is exact.

    Args:
        tools: (name, description, JSON schema of the parameters) each.
        counter: counts the texts.
        framing: of the provider.
    """
    if not tools:
        return 0, True
    total, exact = framing.tools, framing.exact and counter.exact
    for name, description, parameters in tools:
        flat = _flat(name, description, parameters, counter) if framing.exact else None
        if flat is None:
            exact = False
            whole = json.dumps([name, description, parameters], sort_keys=True, ensure_ascii=False)
            flat = 16 + counter.count(whole)
        total += framing.function + flat
    return total, exact


def _flat(name: str, description: str, parameters: Mapping[str, JSON], counter: TokenCounter) -> int | None:
    """What the cookbook's formula gives for one function beside its framing, or None where it does not apply."""
    properties = parameters.get("properties", {})
    if not description or not isinstance(properties, Mapping) or parameters.keys() - {"type", "properties", "required"}:
        return None
    total = counter.count(f"{name}:{description.removesuffix('.')}")
    if properties:
        total += 3
    for key, value in properties.items():
        one = _flat_property(key, value, counter)
        if one is None:
            return None
        total += one
    return total


def _flat_property(key: str, value: JSON, counter: TokenCounter) -> int | None:
    if not isinstance(value, Mapping) or value.keys() - {"type", "description", "enum"}:
        return None
    kind, text, choices = value.get("type"), value.get("description"), value.get("enum")
    if not isinstance(kind, str) or kind in ("object", "array") or not isinstance(text, str) or not text:
        return None
    total = 3 + counter.count(f"{key}:{kind}:{text.removesuffix('.')}")
    if choices is None:
        return total
    if not isinstance(choices, Sequence) or not all(isinstance(choice, str) for choice in choices):
        return None
    return total - 3 + sum(3 + counter.count(str(choice)) for choice in choices)
