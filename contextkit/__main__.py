"""`python -m contextkit`: the command line."""

from __future__ import annotations

from contextkit.cli import main

if __name__ == "__main__":
    main()
