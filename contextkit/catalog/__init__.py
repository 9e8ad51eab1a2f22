"""The catalogue: documents, chunks, vectors, full text and generations in one SQLite file, the truth of an index.

`Catalog` is the door; `Vectors` keeps the vector index in step with it. Getting documents in is `contextkit.sync`.
"""

from __future__ import annotations

from contextkit.catalog.catalog import Catalog, exists
from contextkit.catalog.doctor import Finding, Health, Status
from contextkit.catalog.manifest import read as read_manifest
from contextkit.catalog.records import (
    Collected,
    Committed,
    Counts,
    Difference,
    Generation,
    Identity,
    StoredChunk,
    StoredDocument,
)
from contextkit.catalog.vectors import Vectors
from contextkit.catalog.visibility import Visible

__all__ = [
    "Catalog",
    "Collected",
    "Committed",
    "Counts",
    "Difference",
    "Finding",
    "Generation",
    "Health",
    "Identity",
    "Status",
    "StoredChunk",
    "StoredDocument",
    "Vectors",
    "Visible",
    "exists",
    "read_manifest",
]
