"""Builds the binary documents of the example library from the plain sources beside this file.

    python examples/make_library.py [--out FOLDER]

The text formats of the library have no source: they are the files themselves. The same sources and library versions give the
same bytes. It needs what contextkit itself needs, and reportlab for the PDFs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from writers.office import docx, pptx, xlsx
from writers.pdf import pdf
from writers.source import Source, read
from writers.xml import epub, odt

HERE = Path(__file__).parent
SOURCES = HERE / "sources"
LIBRARY = HERE / "library"
WORKBOOKS = {
    "price-list-2026": ("finance/price-list-2026.xlsx", "Price list 2026", "Luca Bassanello", "2025-12-05"),
    "inventory-2026-02": ("finance/inventory-2026-02.xlsx", "Inventory, end of February 2026", "Marisol Quiñonero", "2026-02-27"),
}


def build(library: Path) -> list[Path]:
    """The binary documents, written into a folder; their paths."""
    writers: dict[str, Callable[[Source], bytes]] = {"docx": docx, "epub": epub, "odt": odt, "pdf": pdf, "pptx": pptx}
    made = {}
    for ending, write in writers.items():
        for path in sorted((SOURCES / ending).glob("*.md")):
            source = read(path)
            made[source.out] = write(source)
    for name, (out, title, author, date) in WORKBOOKS.items():
        made[out] = xlsx(SOURCES / "xlsx", name, title, author, date)
    for out, data in made.items():
        (library / out).parent.mkdir(parents=True, exist_ok=True)
        (library / out).write_bytes(data)
    return [library / out for out in made]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Build the binary documents of the example library.")
    parser.add_argument("--out", type=Path, default=LIBRARY, help="the library's folder (default: beside this file)")
    for written in build(parser.parse_args().out):
        print(written)
