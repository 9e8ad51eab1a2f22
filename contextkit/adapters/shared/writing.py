"""Looking and writing as one step, for peers that ask for more than one verb of a kit at once. No peer is imported here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextkit.kit import Kit

_WAIT = 30.0


@contextmanager
def alone(kit: Kit) -> Iterator[None]:
    """Nobody else writes to the index during the block, in this or any other process; the kit's own verbs do, in this thread.

    Raises:
        IndexLocked: another writer did not finish in half a minute.
    """
    from contextkit.catalog.lock import held

    if kit.catalog.read_only:  # the verb that would write says so
        yield
        return
    with held(kit.catalog._lock, _WAIT, ""):  # noqa: SLF001 - held without noting a run: the verbs inside note theirs
        yield
