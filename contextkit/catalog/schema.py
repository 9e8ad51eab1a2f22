"""The tables of an index's catalogue, their version, and the steps from one version to the next.

What the rows mean is told in docs/storage.md; nothing here reads or writes a row but `state` at creation.
"""

from __future__ import annotations

import sqlite3

from contextkit.errors import IndexDamaged, IndexMismatch

FORMAT = 1
"""Stored as `PRAGMA user_version`; a catalogue with a higher one is refused."""

APPLICATION_ID = 0x636B6974  # "ckit": tells a catalogue from any other SQLite file

PAGE = 8_192
"""Bytes of a page: five rows of vectors fill one; at 4,096 a quarter of it would stay empty."""

_TABLES = """
CREATE TABLE state (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;

CREATE TABLE embedders (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, info TEXT NOT NULL) STRICT;

CREATE TABLE generations (
    id INTEGER PRIMARY KEY, parent INTEGER REFERENCES generations ON DELETE SET NULL, created TEXT NOT NULL, note TEXT NOT NULL,
    added INTEGER NOT NULL, changed INTEGER NOT NULL, removed INTEGER NOT NULL, pinned TEXT,
    embedder_id INTEGER NOT NULL REFERENCES embedders
) STRICT;

CREATE TABLE sources (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, cursor TEXT) STRICT;

CREATE TABLE runs (
    id INTEGER PRIMARY KEY, source_id INTEGER REFERENCES sources, verb TEXT NOT NULL, pid INTEGER NOT NULL, host TEXT NOT NULL,
    started TEXT NOT NULL, finished TEXT, outcome TEXT
) STRICT;

CREATE TABLE journal (
    id INTEGER PRIMARY KEY, time TEXT NOT NULL, run_id INTEGER, source TEXT NOT NULL, event TEXT NOT NULL,
    document_id TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;

CREATE TABLE metadata (id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, value TEXT NOT NULL) STRICT;

CREATE TABLE fields (
    path TEXT NOT NULL, value ANY NOT NULL, metadata_id INTEGER NOT NULL REFERENCES metadata ON DELETE CASCADE,
    PRIMARY KEY (path, value, metadata_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX fields_by_metadata ON fields (metadata_id);

CREATE TABLE access_lists (id INTEGER PRIMARY KEY, names TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE contents (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, first_chunk INTEGER NOT NULL, n_chunks INTEGER NOT NULL,
    n_characters INTEGER NOT NULL, title TEXT NOT NULL, language TEXT NOT NULL, tail TEXT NOT NULL, structure BLOB NOT NULL,
    embedder_id INTEGER NOT NULL REFERENCES embedders
) STRICT;

CREATE TABLE vectors (
    id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, checksum INTEGER NOT NULL, passage BLOB NOT NULL, sentences BLOB
) STRICT;

CREATE TABLE chunks (
    id INTEGER PRIMARY KEY, content_id INTEGER NOT NULL REFERENCES contents, vector_id INTEGER NOT NULL REFERENCES vectors,
    start INTEGER NOT NULL, header TEXT NOT NULL, page_first INTEGER, page_last INTEGER, kind TEXT NOT NULL,
    sentences BLOB NOT NULL, lead TEXT NOT NULL, text TEXT NOT NULL
) STRICT;
CREATE INDEX chunks_by_vector ON chunks (vector_id);
CREATE INDEX chunks_by_content ON chunks (content_id);

CREATE TABLE parses (
    key BLOB PRIMARY KEY, content_id INTEGER NOT NULL REFERENCES contents ON DELETE CASCADE,
    metadata_id INTEGER NOT NULL REFERENCES metadata, media_type TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX parses_by_content ON parses (content_id);
CREATE INDEX parses_by_metadata ON parses (metadata_id);

CREATE TABLE documents (
    id INTEGER PRIMARY KEY, document_id TEXT NOT NULL, source_id INTEGER NOT NULL REFERENCES sources, observed BLOB NOT NULL,
    fingerprint BLOB NOT NULL, version TEXT NOT NULL, uri TEXT NOT NULL, media_type TEXT NOT NULL,
    metadata_id INTEGER NOT NULL REFERENCES metadata, own_metadata_id INTEGER NOT NULL REFERENCES metadata,
    access_id INTEGER REFERENCES access_lists, content_id INTEGER NOT NULL REFERENCES contents,
    born INTEGER NOT NULL, died INTEGER
) STRICT;
CREATE UNIQUE INDEX documents_living ON documents (document_id) WHERE died IS NULL;
CREATE INDEX documents_by_id ON documents (document_id, born);
CREATE INDEX documents_by_source ON documents (source_id, died);
CREATE INDEX documents_by_content ON documents (content_id);
CREATE INDEX documents_by_death ON documents (died);
CREATE INDEX documents_by_metadata ON documents (metadata_id);
CREATE INDEX documents_by_own_metadata ON documents (own_metadata_id);

CREATE TABLE staged (
    source_id INTEGER NOT NULL REFERENCES sources, document_id TEXT NOT NULL, observed BLOB NOT NULL, fingerprint BLOB NOT NULL,
    version TEXT NOT NULL, uri TEXT NOT NULL, media_type TEXT NOT NULL, metadata_id INTEGER NOT NULL REFERENCES metadata,
    own_metadata_id INTEGER NOT NULL REFERENCES metadata, access_id INTEGER REFERENCES access_lists,
    content_id INTEGER NOT NULL REFERENCES contents, PRIMARY KEY (source_id, document_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX staged_by_content ON staged (content_id);

CREATE TABLE segments (
    id INTEGER PRIMARY KEY, first_chunk INTEGER NOT NULL, stop_chunk INTEGER NOT NULL, lengths BLOB NOT NULL
) STRICT;

CREATE TABLE postings (
    segment_id INTEGER NOT NULL REFERENCES segments, term TEXT NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (segment_id, term)
) STRICT, WITHOUT ROWID;

INSERT INTO state VALUES ('current', 0), ('next_chunk', 1), ('chunks', 0), ('lexical_epoch', 0), ('embedder', 0);
"""

_MIGRATIONS: dict[int, str] = {}
"""SQL from version n to n + 1, by n."""


def create(connection: sqlite3.Connection) -> None:
    """Makes all tables in an empty database, in one transaction."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.executescript(f"BEGIN IMMEDIATE;{_TABLES}PRAGMA user_version = {FORMAT};COMMIT;")


def check(connection: sqlite3.Connection, name: str) -> int:
    """The stored format version.

    Raises:
        IndexMismatch: the catalogue was written by a newer contextkit.
        IndexDamaged: the file is a database but not a catalogue.
    """
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    application = int(connection.execute("PRAGMA application_id").fetchone()[0])
    if version == 0 or application != APPLICATION_ID:
        raise IndexDamaged(
            f"{name} is not the catalogue of an index (or its making was cut off): "
            "remove the folder and build it again, or restore a copy"
        )
    if version > FORMAT:
        raise IndexMismatch(
            f"the index has format {version}, this contextkit reads up to {FORMAT}: install a newer contextkit to open {name}"
        )
    return version


def migrate(connection: sqlite3.Connection) -> None:
    """Takes a catalogue of an older format to `FORMAT`, each step in its own transaction."""
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    while version < FORMAT:
        connection.executescript(f"BEGIN IMMEDIATE;{_MIGRATIONS[version]};PRAGMA user_version = {version + 1};COMMIT;")
        version += 1
