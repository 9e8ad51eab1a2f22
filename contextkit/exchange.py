"""An index as Parquet files for other tools and machines, and back: `export_index` and `import_index`.

A folder with documents.parquet, chunks.parquet, vectors.parquet and manifest.json (format version, what the index is, counts,
checksums), and the index's own weights where it has some; docs/connectors.md describes the columns. Both directions work in
batches and make a folder whole or not at all. The rows come from and go to `contextkit.catalog.transfer`.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from contextkit.catalog import Catalog, Identity, transfer
from contextkit.catalog.codec import codec
from contextkit.catalog.commit import now
from contextkit.catalog.database import Database, make
from contextkit.catalog.manifest import failure, sync_folder, write, write_atomically
from contextkit.catalog.reader import NAME as CATALOG
from contextkit.catalog.reading import current
from contextkit.catalog.staging import NewContent, NewDocument
from contextkit.errors import ContextkitError, IndexDamaged, IndexMismatch, InputError, MissingExtra
from contextkit.retrieval.terms import TERMS_VERSION, terms
from contextkit.retrieval.weights import file_name, own
from contextkit.types import EmbedderInfo

FORMAT = 2
"""Of the exported files; a higher one is refused. An export without weights is of format 1, which every version reads."""

KIND = "contextkit export"
MANIFEST = "manifest.json"
FILES = ("documents.parquet", "chunks.parquet", "vectors.parquet")

_BATCH = 2_048
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Exported:
    """What was exported.

    Attributes:
        folder: where it is.
        generation: the index's generation that it shows.
        documents: all living documents, whoever may see them.
        chunks: their chunks; documents of the same content share them.
        vectors: distinct passage vectors.
        bytes: of all files.
        weights: the file with the index's own weights, or "" where it uses the shipped ones.
    """

    folder: str
    generation: int
    documents: int
    chunks: int
    vectors: int
    bytes: int
    weights: str = ""


def export_index(catalog: Catalog, folder: str | Path) -> Exported:
    """Writes what the current generation shows, rights included, into a new folder; the index may be in use meanwhile.

    Args:
        catalog: an open index.
        folder: is made; it may exist if it is empty.

    Raises:
        InputError: the folder holds something, or the index's own weights cannot be used.
        IndexMismatch: its own weights were fitted with another embedder.
        MissingExtra: pyarrow is needed.
        ContextkitError: the files cannot be written; nothing is left of them.
    """
    _arrow()
    target = _target(folder)
    database = Database(catalog.folder / CATALOG, read_only=True)
    try:
        with _draft(target) as draft, database.reading() as c:
            try:
                card = _export(c, draft, catalog)
            except ContextkitError:
                raise
            except OSError as error:
                raise failure(error, target) from error
    finally:
        database.close()
    size = sum(p.stat().st_size for p in target.iterdir())
    documents, chunks, vectors = (int(card["files"][name]["rows"]) for name in FILES)
    weights = next((name for name in card["files"] if name not in FILES), "")
    return Exported(str(target), card["generation"], documents, chunks, vectors, size, weights)


def import_index(folder: str | Path, path: str | Path) -> Catalog:
    """A new index in `path` from exported files, open for writing, which finds what the exported one found.

    Checksums are compared before anything is made. Nothing is embedded. Sources keep their names and what was observed of each
    document, so that the next sync of the same source reads only what changed. Weights that the exported index had of its own are
    the new one's too.

    Args:
        folder: as `export_index` made it.
        path: is made; it may exist if it is empty.

    Raises:
        InputError: the folder holds no export, or `path` holds something.
        IndexMismatch: a newer format.
        IndexDamaged: files are missing, changed or contradict each other.
        MissingExtra: pyarrow is needed.
    """
    _arrow()
    source = Path(folder).expanduser()
    card = _checked(source)
    target = _target(path)
    identity = _identity(card, source)
    with _draft(target) as draft:
        make(draft / CATALOG, identity)
        database = Database(draft / CATALOG)
        try:
            _fill(database, source, card, identity)
        except ContextkitError:
            raise
        except (LookupError, TypeError, ValueError, OSError) as error:
            raise IndexDamaged(f"{source} cannot be imported ({type(error).__name__}: {error}): export it again") from error
        finally:
            database.close()
        write(draft, identity)
        for name in _weights(card, source, identity):
            (draft / name).write_bytes((source / name).read_bytes())
    return Catalog.open(target)


# --------------------------------------------------------------------------------------------------------------------- export


def _export(connection: sqlite3.Connection, draft: Path, catalog: Catalog) -> dict[str, Any]:
    """Writes the files and gives the manifest; what is read is one state."""
    identity = catalog.identity
    dimension, weights = identity.embedder.dimension, file_name(identity.embedder.digest)
    tuned = own(catalog.folder, identity.embedder.digest) is not None  # raises where they could not be used
    if tuned:
        (draft / weights).write_bytes((catalog.folder / weights).read_bytes())
    vectors = transfer.vectors(connection, codec(identity.passages), dimension, _BATCH)
    counts = (
        _write(draft / FILES[0], _documents_schema(), transfer.documents(connection)),
        _write(draft / FILES[1], _chunks_schema(), transfer.chunks(connection)),
        _write_vectors(draft / FILES[2], vectors, dimension),
    )
    card: dict[str, Any] = {
        "kind": KIND,
        "format": FORMAT if tuned else 1,
        "created": now(),
        "generation": current(connection),
        "identity": asdict(identity),
        "sources": transfer.sources(connection),
        "files": {name: {"rows": n, **_sum(draft / name)} for name, n in zip(FILES, counts, strict=True)},
    }
    if tuned:
        card["files"][weights] = _sum(draft / weights)
    write_atomically(draft / MANIFEST, (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode())
    return card


def _write(path: Path, schema: Any, rows: Iterable[dict[str, Any]]) -> int:  # noqa: ANN401 - pyarrow is imported late
    """Writes records in batches and gives their number."""
    pa, pq = _arrow()
    count = 0
    records = iter(rows)
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        while part := list(islice(records, _BATCH)):
            writer.write_batch(pa.RecordBatch.from_pylist(part, schema=schema))
            count += len(part)
    return count


def _write_vectors(path: Path, batches: Iterable[transfer.VectorRows], dimension: int) -> int:
    pa, pq = _arrow()
    schema, count = _vectors_schema(dimension), 0
    with pq.ParquetWriter(path, schema, compression="zstd", use_dictionary=False) as writer:
        for rows in batches:
            passages = pa.FixedSizeListArray.from_arrays(pa.array(rows.passages.ravel()), dimension)
            columns = [pa.array([key.hex() for key in rows.keys]), passages, pa.array(rows.sentences, pa.binary())]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            count += len(rows.keys)
    return count


def _documents_schema() -> Any:  # noqa: ANN401 - pyarrow is imported late
    pa, _ = _arrow()
    text = ("id", "source", "version", "uri", "media_type", "title", "language", "metadata", "own_metadata", "content")
    return pa.schema(
        [
            *(pa.field(name, pa.string(), nullable=False) for name in text),
            pa.field("access", pa.list_(pa.string())),
            pa.field("observed", pa.binary(), nullable=False),
            pa.field("n_chunks", pa.int64(), nullable=False),
            pa.field("n_characters", pa.int64(), nullable=False),
            pa.field("tail", pa.string(), nullable=False),
            pa.field("structure", pa.string(), nullable=False),
        ]
    )


def _chunks_schema() -> Any:  # noqa: ANN401 - pyarrow is imported late
    pa, _ = _arrow()
    return pa.schema(
        [
            *(pa.field(name, pa.string(), nullable=False) for name in ("content", "lead", "text", "header", "kind", "vector")),
            *(pa.field(name, pa.int64(), nullable=False) for name in ("ordinal", "start", "end")),
            *(pa.field(name, pa.int64()) for name in ("page_first", "page_last")),
            *(pa.field(name, pa.list_(pa.int64()), nullable=False) for name in ("sentence_starts", "sentence_ends")),
        ]
    )


def _vectors_schema(dimension: int) -> Any:  # noqa: ANN401 - pyarrow is imported late
    pa, _ = _arrow()
    return pa.schema(
        [
            pa.field("key", pa.string(), nullable=False),
            pa.field("passage", pa.list_(pa.float32(), dimension), nullable=False),
            pa.field("sentences", pa.binary()),
        ]
    )


# --------------------------------------------------------------------------------------------------------------------- import


def _checked(folder: Path) -> dict[str, Any]:
    """The manifest, after every file was found to be what it says."""
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder} holds no export: there is no {MANIFEST}; `contextkit index export FOLDER` makes one")
    try:
        card = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise IndexDamaged(f"{path} cannot be read ({error}): export the index again") from error
    if not isinstance(card, dict) or card.get("kind") != KIND:
        raise InputError(f"{folder} holds no export: its {MANIFEST} is of something else; `contextkit index export` makes one")
    if not isinstance(card.get("format"), int) or card["format"] > FORMAT:
        raise IndexMismatch(
            f"{folder} has the export format {card.get('format')!r}, this contextkit reads up to {FORMAT}: install a newer one"
        )
    listed = card.get("files", {})
    for name in (*FILES, *(Path(name).name for name in listed if name not in FILES)):
        expected = listed.get(name, {})
        if not (folder / name).is_file():
            raise IndexDamaged(f"{folder} has no {name}: copy it again, or export the index again")
        if _sum(folder / name) != {k: expected.get(k) for k in ("bytes", "sha256")}:
            raise IndexDamaged(f"{folder / name} is not the file that was exported: copy it again, or export the index again")
    return card


def _identity(card: dict[str, Any], folder: Path) -> Identity:
    """What the new index is: as the exported one, with a name of its own and the terms of this contextkit."""
    try:
        old = Identity(**{**card["identity"], "embedder": EmbedderInfo(**card["identity"]["embedder"])})
        codec(old.passages), codec(old.sentences)
    except (TypeError, KeyError) as error:
        raise IndexDamaged(f"{folder / MANIFEST} does not say what the index is ({error}): export it again") from error
    return replace(old, uuid=uuid.uuid4().hex, created=now(), terms=TERMS_VERSION)


def _weights(card: dict[str, Any], folder: Path, identity: Identity) -> list[str]:
    """The file with the exported index's own weights, where there is one; raises as `own` does where they cannot be used."""
    names, digest = [name for name in card["files"] if name not in FILES], identity.embedder.digest
    if names not in ([], [file_name(digest)]):
        raise IndexDamaged(f"{folder / MANIFEST} names {', '.join(names)}, which no export has: export the index again")
    if names:
        own(folder, digest)
    return names


def _fill(database: Database, folder: Path, card: dict[str, Any], identity: Identity) -> None:
    codecs = codec(identity.passages), codec(identity.sentences)
    counts = dict.fromkeys(FILES, 0)
    for rows in _read_vectors(folder / FILES[2], identity.embedder.dimension):
        counts[FILES[2]] += len(rows.keys)
        with database.transaction() as c:
            transfer.put_vectors(c, rows, codecs[0])
    with database.transaction() as c:
        sources = transfer.put_sources(c, card["sources"])
    for contents, versions in _staged(folder, sources):
        counts[FILES[0]] += sum(len(v) for v in versions.values())
        counts[FILES[1]] += sum(len(content.chunks) for content in contents)
        with database.transaction() as c:
            transfer.put_documents(c, contents, versions, terms, codecs)
    expected = {name: card["files"][name]["rows"] for name in FILES}
    if counts != expected:
        raise IndexDamaged(f"{folder} holds {counts} rows, its {MANIFEST} says {expected}: export the index again")
    with database.transaction() as c:
        transfer.show(c, sources, f"imported generation {card['generation']}")
    database.checkpoint()


def _staged(folder: Path, sources: dict[str, int]) -> Iterator[tuple[list[NewContent], dict[int, list[NewDocument]]]]:
    """Contents and documents in steps of a bounded number of chunks; both files are read side by side."""
    parts = groupby(_read(folder / FILES[1], _chunks_schema()), key=lambda row: row["content"])
    waiting = next(parts, None)
    contents: list[NewContent] = []
    versions: dict[int, list[NewDocument]] = {}
    size = 0
    for key, group in groupby(_read(folder / FILES[0], _documents_schema()), key=lambda row: row["content"]):
        for i, document in enumerate(group):
            if not i:
                chunks: list[dict[str, Any]] = []
                if waiting is not None and waiting[0] == key:
                    chunks = list(waiting[1])
                    waiting = next(parts, None)
                contents.append(transfer.content(document, chunks))
                size += len(chunks)
            versions.setdefault(sources[document["source"]], []).append(transfer.version(document))
            size += 1
        if size >= _BATCH:
            yield contents, versions
            contents, versions, size = [], {}, 0
    if contents:
        yield contents, versions


def _read(path: Path, schema: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - pyarrow is imported late
    for batch in _batches(path, schema):
        yield from batch.to_pylist()


def _read_vectors(path: Path, dimension: int) -> Iterator[transfer.VectorRows]:
    for batch in _batches(path, _vectors_schema(dimension)):
        keys = [bytes.fromhex(key) for key in batch.column("key").to_pylist()]
        passages = batch.column("passage").flatten().to_numpy(zero_copy_only=False).reshape(len(keys), dimension)
        yield transfer.VectorRows(keys, passages, batch.column("sentences").to_pylist())


def _batches(path: Path, schema: Any) -> Iterator[Any]:  # noqa: ANN401 - pyarrow is imported late
    pa, pq = _arrow()
    try:
        with pq.ParquetFile(path) as file:
            if not file.schema_arrow.equals(schema):
                raise IndexDamaged(f"{path} has other columns than an export: {', '.join(file.schema_arrow.names)}")
            yield from file.iter_batches(batch_size=_BATCH)
    except pa.ArrowException as error:
        raise IndexDamaged(f"{path} cannot be read ({error}): export the index again") from error


# --------------------------------------------------------------------------------------------------------------------- folders


def _target(folder: str | Path) -> Path:
    target = Path(folder).expanduser().absolute()
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} exists and is not empty: name a new folder")
    return target


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """A folder beside the target that takes its place at the end of the block, or leaves nothing behind."""
    draft = target.with_name(f".{target.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.new")
    draft.mkdir(parents=True)
    try:
        yield draft
        for path in draft.iterdir():
            with path.open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(draft)
        try:
            if target.exists():
                target.rmdir()  # it was empty
            draft.rename(target)
        except OSError as error:
            raise InputError(f"{target} was made by somebody else meanwhile ({error}): name a new folder") from error
        sync_folder(target.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _sum(path: Path) -> dict[str, Any]:
    state, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            state.update(block)
            size += len(block)
    return {"bytes": size, "sha256": state.hexdigest()}


def _arrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa  # type: ignore[import-untyped] # it has no types
        import pyarrow.parquet as pq  # type: ignore[import-untyped] # it has no types
    except ImportError:
        raise MissingExtra("pyarrow", "parquet", "exporting and importing an index") from None
    return pa, pq
