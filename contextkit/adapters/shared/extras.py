"""What an adapter says where its peer is not installed. No peer is imported here."""

from __future__ import annotations

from contextkit.errors import MissingExtra


def missing(error: ModuleNotFoundError, peer: str, package: str, extra: str) -> Exception:
    """What to raise where a peer does not import: MissingExtra where it is not installed, else the error itself.

    Args:
        error: of the import.
        peer: the name that was imported.
        package: what is to be installed.
        extra: of contextkit.
    """
    if (error.name or "").partition(".")[0] != peer:
        return error
    return MissingExtra(package, extra, f"the adapter for {package}")
