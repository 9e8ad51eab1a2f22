"""The command line: `contextkit ...`. Each verb mirrors a call of the library; nothing is computed here.

One module a group of verbs; `app.py` puts them together, `session.py` opens the index, `output.py` prints.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits: 0 done, 1 some items failed, 2 usage or something missing, 130 interrupted.

    Args:
        arguments: what follows the program's name; None: those of this process.
    """
    from contextkit.cli.app import run

    sys.exit(run(arguments))
