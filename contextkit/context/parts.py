"""Content that is not plain text: images and thinking blocks inside messages, read from any provider's form, counted, written.

A message that holds any has all its content as `Part`s in their order; other messages have none. Nothing is dropped on the way:
what a provider's format cannot carry is an error that names the message.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from contextkit.context.plain import check_text
from contextkit.errors import InputError
from contextkit.tokens.images import base64_size, image_tokens, read_data_url

if TYPE_CHECKING:
    from contextkit.protocols import TokenCounter
    from contextkit.tokens.framing import Framing

_MEDIA = ("image/png", "image/jpeg", "image/gif", "image/webp")
_DETAILS = ("low", "high", "auto")
_THINKING_FRAMING = 8  # tokens around a thinking block, at most


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a message's content.

    Attributes:
        kind: what it is.
        text: the text; of an image its base64 data or, without a media type, its address; of thinking what was thought; of
            redacted thinking its data.
        media_type: of an image in base64.
        detail: of an image: "low", "high" or "auto".
        signature: of thinking.
        width: pixels of an image; 0 where unknown.
        height: pixels of an image; 0 where unknown.
    """

    kind: Literal["text", "image", "thinking", "redacted"]
    text: str
    media_type: str = ""
    detail: str = "auto"
    signature: str = ""
    width: int = 0
    height: int = 0

    def plain(self) -> dict[str, str]:
        """The part as JSON: what is kept of it when it leaves a packet."""
        rest = {"media_type": self.media_type, "detail": self.detail if self.kind == "image" else "", "signature": self.signature}
        return {"type": self.kind, "text": self.text, **{key: value for key, value in rest.items() if value}}

    def shown(self) -> str:
        """The part in words, for a packet as one text to read."""
        if self.kind == "text":
            return self.text
        if self.kind == "image":
            size = f" of {self.width} x {self.height} pixels" if self.width else ""
            return f"[an image{size}: {self.media_type or self.text}]"
        return f"[thinking] {self.text}" if self.kind == "thinking" else "[redacted thinking]"


def read_part(given: object, label: str) -> Part | None:
    """A text, image or thinking part of any provider's form; None for another kind.

    Raises:
        InputError: naming the message: a part that lacks something, or an image that cannot be budgeted.
    """
    if not isinstance(given, Mapping):
        return None
    kind = given.get("type")
    if kind in ("text", "input_text", "output_text"):
        return Part("text", _text(given.get("text"), label, "the text of a content part"))
    if kind == "image_url":
        inner = given.get("image_url")
        inner = {"url": inner} if isinstance(inner, str) else inner
        if not isinstance(inner, Mapping):
            raise InputError(f"{label}: an image_url part needs a url")
        return _image(inner.get("url"), inner.get("detail"), label)
    if kind == "input_image":
        return _image(given.get("image_url"), given.get("detail"), label)
    if kind == "image":
        return _source(given.get("source"), label)
    if kind == "thinking":
        thought = _text(given.get("thinking"), label, "thinking")
        return Part("thinking", thought, signature=_text(given.get("signature"), label, "the signature of thinking"))
    if kind == "redacted_thinking":
        return Part("redacted", _text(given.get("data"), label, "the data of redacted thinking"))
    return None


def _text(value: object, label: str, what: str) -> str:
    if not isinstance(value, str):
        raise InputError(f"{label}: {what} must be a text, not {type(value).__name__}")
    return check_text(value, label)


def _source(source: object, label: str) -> Part:
    """An image of Anthropic's form."""
    if isinstance(source, Mapping) and source.get("type") == "url":
        return _image(source.get("url"), None, label)
    if isinstance(source, Mapping) and source.get("type") == "base64":
        return _encoded(source.get("media_type"), source.get("data"), "auto", label)
    kind = source.get("type") if isinstance(source, Mapping) else source
    raise InputError(f"{label}: an image needs a source of type base64 or url, not {str(kind)[:60]!r}: only their size is known")


def _image(url: object, detail: object, label: str) -> Part:
    if not isinstance(url, str) or not url:
        raise InputError(f"{label}: an image needs a url, not {str(url)[:60]!r}: a file kept by the provider cannot be counted")
    level = detail or "auto"
    if not isinstance(level, str) or level not in _DETAILS:
        raise InputError(f"{label}: the detail of an image must be one of {', '.join(_DETAILS)}, not {str(detail)[:40]!r}")
    data = read_data_url(url)
    if data is not None:
        return _encoded(*data, level, label)
    if not url.startswith(("https://", "http://")):
        raise InputError(f"{label}: an image's url must be https:// or data:image/...;base64, not {url[:40]!r}")
    return Part("image", check_text(url, label), detail=level)


def _encoded(media_type: object, data: object, detail: str, label: str) -> Part:
    if media_type not in _MEDIA:
        raise InputError(f"{label}: an image of type {str(media_type)[:40]!r}: providers read {', '.join(_MEDIA)}")
    if not isinstance(data, str) or not data:
        raise InputError(f"{label}: an image in base64 needs its data as a text")
    try:
        size = base64_size(data)
    except ValueError as error:
        raise InputError(f"{label}: the image cannot be read: {error}") from error
    if size is None:
        raise InputError(f"{label}: the image's head does not say its size: it is no {media_type} that can be counted")
    return Part("image", data, str(media_type), detail, width=size[0], height=size[1])


def check_parts(parts: Sequence[Part], label: str, framing: Framing, model: str) -> None:
    """Raises InputError, naming the message, where a model's provider has no rule for a part."""
    for part in parts:
        if part.kind == "image" and framing.images is None:
            raise InputError(
                f"{label}: it holds an image, and no rule is public for how {model or 'this encoding'} counts images: name a "
                "model that reads images, or describe the image in words"
            )
        if part.kind in ("thinking", "redacted") and framing.name != "anthropic":
            raise InputError(
                f"{label}: it holds a thinking block, which only Anthropic's models read, not {model or 'this encoding'}: "
                "leave the block out, or name the model that wrote it"
            )


def parts_cost(parts: Sequence[Part], counter: TokenCounter, framing: Framing) -> int:
    """Tokens of a message's parts, an upper bound where anything is not text."""
    total = 0
    for part in parts:
        if part.kind == "text":
            total += counter.count(part.text)
        elif part.kind == "image":
            assert framing.images is not None, "check_parts comes first"
            total += image_tokens(framing.images, part.width, part.height, part.detail)
        else:
            total += _THINKING_FRAMING + counter.count(part.text) + counter.count(part.signature)
    return total


def address(part: Part) -> str:
    """An image as an address: the data themselves where there are any."""
    return f"data:{part.media_type};base64,{part.text}" if part.media_type else part.text


def openai_parts(parts: Sequence[Part], label: str) -> list[dict[str, object]]:
    """Content parts of OpenAI's chat completions. Raises InputError for thinking, which that format has no place for."""
    out: list[dict[str, object]] = []
    for part in parts:
        if part.kind == "text":
            out.append({"type": "text", "text": part.text})
        elif part.kind == "image":
            out.append({"type": "image_url", "image_url": {"url": address(part), "detail": part.detail}})
        else:
            raise InputError(f"{label} holds a thinking block, which only Anthropic's format carries: use 'anthropic'")
    return out


def responses_parts(parts: Sequence[Part], label: str) -> list[dict[str, object]]:
    """Content parts of OpenAI's responses. Raises InputError for thinking, which that format has no place for."""
    out: list[dict[str, object]] = []
    for part in parts:
        if part.kind == "text":
            out.append({"type": "input_text", "text": part.text})
        elif part.kind == "image":
            out.append({"type": "input_image", "image_url": address(part), "detail": part.detail})
        else:
            raise InputError(f"{label} holds a thinking block, which only Anthropic's format carries: use 'anthropic'")
    return out


def anthropic_parts(parts: Sequence[Part]) -> list[dict[str, object]]:
    """Content blocks of Anthropic's messages; thinking goes back byte for byte as it came."""
    out: list[dict[str, object]] = []
    for part in parts:
        if part.kind == "text":
            out.append({"type": "text", "text": part.text})
        elif part.kind == "image" and part.media_type:
            source = {"type": "base64", "media_type": part.media_type, "data": part.text}
            out.append({"type": "image", "source": source})
        elif part.kind == "image":
            out.append({"type": "image", "source": {"type": "url", "url": part.text}})
        elif part.kind == "thinking":
            out.append({"type": "thinking", "thinking": part.text, "signature": part.signature})
        else:
            out.append({"type": "redacted_thinking", "data": part.text})
    return out
