"""What no parser of ours reads, through unstructured: old Word, Excel and PowerPoint files, as far as it can on this machine.

unstructured wants spaCy's small English model and would download it. Where it is not installed, the folder `offline_models` of
this package is appended to `sys.path`: a module of the same name that gives a blank English pipeline. A real model wins.
"""

from __future__ import annotations

import io
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contextkit.documents.building import Builder, Source, iso_date
from contextkit.documents.parsers.html import add_html
from contextkit.errors import UnsupportedFormat
from contextkit.types import BlockKind, Document

if TYPE_CHECKING:
    from collections.abc import Iterable

_MODELS = Path(__file__).parent.parent / "offline_models"
_NEEDS_OFFICE = {"application/msword": "Word (.doc)", "application/vnd.ms-powerpoint": "PowerPoint (.ppt)"}


def read(source: Source) -> Document:
    """The document by unstructured's elements. Raises UnsupportedFormat where it needs a program that is not installed."""
    import shutil

    old = _NEEDS_OFFICE.get(source.media_type)
    if old is not None and shutil.which("soffice") is None:
        raise UnsupportedFormat(
            f"{source.blob.name or source.blob.id!r} is an old {old} file, which needs LibreOffice (soffice) to read; "
            "install it, or save the file in the newer format"
        )
    if source.media_type == "application/vnd.ms-excel" and not (find_spec("pandas") and find_spec("xlrd")):
        raise UnsupportedFormat(
            f"{source.blob.name or source.blob.id!r} is an old Excel (.xls) file, which needs pandas and xlrd to read; "
            "install them (pip install pandas xlrd), or save the file as .xlsx"
        )
    use_offline_models()
    from unstructured.partition.auto import partition

    builder = Builder()
    elements = partition(file=io.BytesIO(source.data), content_type=source.media_type, metadata_filename=source.blob.name or None)
    add_elements(builder, elements)
    return builder.build(source)


def use_offline_models() -> None:
    """Make unstructured work without its language model's download. Does nothing where the model is installed."""
    folder = str(_MODELS)
    if find_spec("en_core_web_sm") is None and folder not in sys.path:
        sys.path.append(folder)


def add_elements(builder: Builder, elements: Iterable[Any]) -> None:
    """Append unstructured's elements as blocks; page headers, footers and breaks are left out."""
    for element in elements:
        category, text, facts = element.category, element.text or "", element.metadata
        builder.metadata.setdefault("modified", iso_date(facts.last_modified))
        if category == "Title":
            builder.heading(text, (facts.category_depth or 0) + 1)
        elif category == "ListItem":
            builder.item(text, facts.category_depth or 0)
        elif category == "Table" and facts.text_as_html:
            add_html(builder, facts.text_as_html)
        elif category == "CodeSnippet":
            builder.add(BlockKind.CODE, text)
        elif category not in ("Header", "Footer", "PageBreak", "PageNumber"):
            builder.paragraph(text)
