"""Documents: bytes to text with exact structure (`parse`, `ParsePool`), and text to chunks."""

from __future__ import annotations

import contextkit.documents.parsers  # noqa: F401 - first, so that the function of this name is what stays
from contextkit.documents.parsing import PARSER_VERSION, parse, parsers
from contextkit.documents.pool import ParsePool

__all__ = ["PARSER_VERSION", "ParsePool", "parse", "parsers"]
