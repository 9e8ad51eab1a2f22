"""Embedders: local sentence-transformers models and endpoints, behind the seam `contextkit.protocols.Embedder`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from contextkit.errors import EmbedderError, InputError

if TYPE_CHECKING:
    from contextkit.embedding.endpoint import EndpointEmbedder
    from contextkit.embedding.instant import InstantEmbedder
    from contextkit.embedding.local import LocalEmbedder, Wanted
    from contextkit.protocols import Embedder

__all__ = ["EndpointEmbedder", "InstantEmbedder", "LocalEmbedder", "default_embedder", "load_embedder"]

_GROUP = "contextkit.embedders"
_OPENAI = "https://api.openai.com/v1"


def default_embedder() -> LocalEmbedder:
    """The packaged all-MiniLM-L6-v2; nothing is loaded yet."""
    from contextkit.embedding.local import LocalEmbedder

    return LocalEmbedder()


def load_embedder(spec: str | Path | Embedder | None = None, *, backend: Wanted = "auto") -> Embedder:
    """The embedder that a setting names; nothing is loaded or asked yet.

    Args:
        spec: one of
            None or "all-MiniLM-L6-v2": the packaged model;
            a path: a sentence-transformers model's folder;
            "instant" or "instant:FOLDER": a static table distilled from the packaged model, or from that one;
            "openai:MODEL@URL": an OpenAI-compatible endpoint (without "@URL": OpenAI's own), with the key in OPENAI_API_KEY;
            "NAME" or "NAME:ARGUMENT": a plug-in of the group `contextkit.embedders`, called with the argument where there is one;
            an embedder, which is returned as it is.
        backend: what computes a local model; see `LocalEmbedder`. Other embedders have none.

    Raises:
        EmbedderError: there is no such model.
        PluginError: the plug-in does not load.
        InputError: what is given or what the plug-in returns is no embedder.
    """
    if spec is None:
        from contextkit.embedding.local import LocalEmbedder

        return LocalEmbedder(backend=backend)
    if not isinstance(spec, (str, Path)):
        return _checked(spec, "the given object")
    from contextkit.embedding.folder import is_default, local_folder
    from contextkit.embedding.local import LocalEmbedder

    if is_default(spec) or isinstance(spec, Path) or local_folder(spec):
        return LocalEmbedder(spec, backend=backend)
    name, _, argument = spec.partition(":")
    if name == "instant":
        from contextkit.embedding.instant import InstantEmbedder

        return InstantEmbedder(argument or None)
    if name == "openai":
        return _openai(spec, argument)
    from contextkit import plugins

    if name not in plugins.names(_GROUP, check=False):
        return LocalEmbedder(spec)  # raises, and says what a name can be
    make = plugins.load(_GROUP, name)
    return _checked(make(argument) if argument else make(), f"the plug-in {name!r}")


def _openai(spec: str, argument: str) -> EndpointEmbedder:
    from contextkit.embedding.endpoint import EndpointEmbedder

    model, _, url = argument.partition("@")
    if not model:
        raise EmbedderError(
            f"the embedder {spec!r} names no model: write openai:MODEL@URL, for example openai:bge-m3@http://host:8000/v1"
        )
    return EndpointEmbedder(model, url or _OPENAI)


def _checked(found: object, what: str) -> Embedder:
    # not isinstance(found, Embedder): that would read `info`, which may load the model
    missing = [name for name in ("info", "count", "embed", "embed_queries") if not hasattr(type(found), name)]
    if missing:
        raise InputError(f"{what} ({type(found).__name__}) is no embedder: it has no {', '.join(missing)}")
    return cast("Embedder", found)


def __getattr__(name: str) -> Any:  # noqa: ANN401  # module attributes are of any type
    if name == "LocalEmbedder":
        from contextkit.embedding.local import LocalEmbedder

        return LocalEmbedder
    if name == "InstantEmbedder":
        from contextkit.embedding.instant import InstantEmbedder

        return InstantEmbedder
    if name == "EndpointEmbedder":
        from contextkit.embedding.endpoint import EndpointEmbedder

        return EndpointEmbedder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
