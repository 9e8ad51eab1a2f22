"""The tables of a memory, in SQLite's dialect (`pgtables.py` has them in PostgreSQL's); no row is read or written here but
`state` at creation.

Times are microseconds since 1970. `records.seq` is drawn anew whenever a row is written, so that a reader that keeps columns in
memory asks only for what changed. A turn's thread and place say which turns stand beside it.
"""

from __future__ import annotations

FORMAT = 2
"""A memory with a higher one is refused."""

APPLICATION_ID = 0x636B6D65  # "ckme": tells a memory from any other SQLite file

UPGRADES = {
    1: """
CREATE TABLE identity (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
INSERT INTO identity SELECT key, value FROM state WHERE key = 'embedder';
DELETE FROM state WHERE key = 'embedder';
ALTER TABLE consolidated ADD COLUMN into_id INTEGER;
CREATE INDEX consolidated_by_into ON consolidated (into_id) WHERE into_id IS NOT NULL;
CREATE TABLE tombstones (
    id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, time INTEGER NOT NULL, reason TEXT NOT NULL, proof TEXT NOT NULL
) STRICT;
""",
}
"""From a format to the next one; whoever changes `TABLES` after a release raises FORMAT and adds a step."""

TABLES = """
CREATE TABLE state (key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE identity (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE scopes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, owner TEXT NOT NULL) STRICT;
CREATE INDEX scopes_by_owner ON scopes (owner);

CREATE TABLE rules (
    scope_id INTEGER NOT NULL REFERENCES scopes, reader TEXT NOT NULL, allow INTEGER NOT NULL, PRIMARY KEY (scope_id, reader)
) STRICT, WITHOUT ROWID;

CREATE TABLE keys (
    id INTEGER PRIMARY KEY, subject TEXT NOT NULL, attribute TEXT NOT NULL, UNIQUE (subject, attribute)
) STRICT;

CREATE TABLE sources (id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE) STRICT;

CREATE TABLE threads (
    id INTEGER PRIMARY KEY, scope_id INTEGER NOT NULL REFERENCES scopes, name TEXT NOT NULL, turns INTEGER NOT NULL,
    UNIQUE (scope_id, name)
) STRICT;

CREATE TABLE records (
    id INTEGER PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, scope_id INTEGER NOT NULL REFERENCES scopes, kind INTEGER NOT NULL,
    status INTEGER NOT NULL, text TEXT NOT NULL, key_id INTEGER REFERENCES keys, valid_from INTEGER NOT NULL,
    valid_to INTEGER NOT NULL, recorded_at INTEGER NOT NULL, superseded_at INTEGER, void INTEGER NOT NULL,
    trust REAL NOT NULL, importance REAL NOT NULL, uses INTEGER NOT NULL, last_used INTEGER,
    source_id INTEGER NOT NULL REFERENCES sources, conversation TEXT NOT NULL, message_id TEXT NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL,
    thread_id INTEGER REFERENCES threads, place INTEGER NOT NULL, hash BLOB NOT NULL, vector BLOB
) STRICT;
CREATE INDEX records_by_key ON records (key_id, scope_id) WHERE key_id IS NOT NULL;
CREATE INDEX records_by_scope ON records (scope_id);
CREATE INDEX records_by_hash ON records (hash);
CREATE INDEX records_by_message ON records (message_id) WHERE message_id <> '';
CREATE INDEX records_by_thread ON records (thread_id, place) WHERE thread_id IS NOT NULL;

CREATE TABLE lineage (
    record_id INTEGER NOT NULL, parent_id INTEGER NOT NULL, PRIMARY KEY (record_id, parent_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX lineage_by_parent ON lineage (parent_id);

CREATE TABLE bands (band INTEGER NOT NULL, record_id INTEGER NOT NULL, PRIMARY KEY (band, record_id)) STRICT, WITHOUT ROWID;
CREATE INDEX bands_by_record ON bands (record_id);

CREATE TABLE values_ (
    name TEXT PRIMARY KEY, scope_id INTEGER REFERENCES scopes, version INTEGER NOT NULL, body TEXT NOT NULL,
    written INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE persons (
    handle TEXT PRIMARY KEY, person TEXT NOT NULL, confirmed INTEGER NOT NULL, evidence TEXT NOT NULL, linked INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX persons_by_person ON persons (person);

CREATE TABLE consolidated (
    run TEXT NOT NULL, record_id INTEGER NOT NULL, status INTEGER NOT NULL, into_id INTEGER, PRIMARY KEY (run, record_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX consolidated_by_into ON consolidated (into_id) WHERE into_id IS NOT NULL;

CREATE TABLE tombstones (
    id INTEGER PRIMARY KEY, kind INTEGER NOT NULL, time INTEGER NOT NULL, reason TEXT NOT NULL, proof TEXT NOT NULL
) STRICT;

CREATE TABLE limits (scope TEXT PRIMARY KEY, days REAL NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE segments (
    id INTEGER PRIMARY KEY, first_chunk INTEGER NOT NULL, stop_chunk INTEGER NOT NULL, lengths BLOB NOT NULL
) STRICT;

CREATE TABLE postings (
    segment_id INTEGER NOT NULL REFERENCES segments, term TEXT NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL,
    PRIMARY KEY (segment_id, term)
) STRICT, WITHOUT ROWID;

INSERT INTO state VALUES ('next_id', 1), ('seq', 0), ('clock', 0), ('erasures', 0), ('lexical_epoch', 0);
"""
