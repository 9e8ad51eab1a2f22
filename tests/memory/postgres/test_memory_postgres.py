"""What a memory in PostgreSQL has of its own: its address, its errors, broken connections, and what ANALYZE may see."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import psycopg
import pytest

import contextkit as ck
from contextkit.errors import (
    ContextkitError,
    IndexDamaged,
    IndexMismatch,
    IndexNotFound,
    InputError,
    KitClosed,
    MissingExtra,
    ReadOnlyIndex,
    ServerUnreachable,
)
from contextkit.memory import MemoryStore, schema
from contextkit.memory.pgfaults import address
from contextkit.memory.postgres import BEYOND, PostgresBackend, _numbered
from contextkit.protocols import MemoryBackend
from contextkit.testing import TinyEmbedder

ANN = {"user": "ann"}
SECRET = "p4ss/w0rd"


@pytest.fixture
def kind():
    return "postgres"


@pytest.fixture
def url(place, tmp_path):
    return place(tmp_path)


@pytest.fixture
def admin(server):
    with psycopg.connect(server, autocommit=True) as connection:
        yield connection


def cut(admin, url):
    """Ends every other connection to the server, as a restart or a firewall does."""
    admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'contextkit'")


def test_the_backend_keeps_the_protocol(store):
    assert isinstance(store.backend, MemoryBackend)
    assert repr(store.backend).startswith("<PostgresBackend 'postgresql://postgres@")


@pytest.mark.parametrize(
    ("url", "shown", "schema_"),
    [
        ("postgresql://ann:p4ss@db.example.org:6432/know?schema=team", "postgresql://ann@db.example.org:6432/know?schema=team", "team"),
        ("postgres://db/know", "postgresql://db/know?schema=contextkit", "contextkit"),
        ("postgresql:///know?host=/run/pg&user=ann&password=p4ss", "postgresql://ann@/run/pg/know?schema=contextkit", "contextkit"),
        ("postgresql://ann@h/d?sslmode=require&schema=a&schema=b", "postgresql://ann@h/d?schema=b", "b"),
    ],
)  # fmt: skip
def test_an_address_is_shown_without_its_password(url, shown, schema_):
    found = address(url)
    assert (found.shown, found.schema) == (shown, schema_)
    assert "p4ss" not in found.shown
    assert "schema" not in found.conninfo


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"postgresql://ann:{SECRET}@h:port/d", "USER@HOST"),
        (f"postgresql://ann:{SECRET}@h/d", "USER@HOST"),
        ("postgresql://ann:12/w0rd@h/d", "USER@HOST"),
        (f"postgresql://ann:{SECRET}@h/d?colour=red", "USER@HOST"),
        (f"postgresql://ann:x{SECRET}[@h/d", "USER@HOST"),
        ("postgresql://h/d?schema=Team", "schema='Team'"),
        ("postgresql://h/d?schema=pg_x", "schema='pg_x'"),
        ("postgresql://h/d?schema=a;drop", "schema="),
        ("postgresql://h/d?schema=", "schema=''"),
    ],
)
def test_an_address_that_cannot_be_read(url, said):
    with pytest.raises(InputError, match="schema|address") as caught:
        MemoryStore(url, TinyEmbedder())
    assert said in str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_nobody_answers():
    with pytest.raises(ServerUnreachable, match=r"cannot connect to postgresql://ann@127\.0\.0\.1:1/d\?") as caught:
        MemoryStore(f"postgresql://ann:{SECRET.replace('/', '%2F')}@127.0.0.1:1/d", TinyEmbedder())
    assert SECRET not in str(caught.value)
    assert isinstance(caught.value, ConnectionError)
    assert "PGPASSWORD" in str(caught.value)


@pytest.fixture
def guarded(admin):
    """The address of a user who needs a password, with marks for user and password."""
    data = Path(admin.execute("SHOW data_directory").fetchone()[0])
    rules = data / "pg_hba.conf"
    before = rules.read_text()
    admin.execute("CREATE ROLE guard LOGIN PASSWORD 'p4ss/w0rd'")
    admin.execute("GRANT CREATE ON DATABASE postgres TO guard")
    rules.write_text("local all guard scram-sha-256\n" + before)
    admin.execute("SELECT pg_reload_conf()")
    yield f"postgresql://guard:%s@/postgres?host={data}&schema=guarded"
    rules.write_text(before)
    admin.execute("SELECT pg_reload_conf()")
    admin.execute("DROP SCHEMA IF EXISTS guarded CASCADE")
    admin.execute("DROP OWNED BY guard")
    admin.execute("DROP ROLE guard")


def test_a_password_is_asked_for_and_never_told(guarded, admin):
    with pytest.raises(ServerUnreachable, match="password authentication failed") as caught:
        MemoryStore(guarded % "wr0ng", TinyEmbedder())
    assert "wr0ng" not in str(caught.value)
    with contextlib.closing(MemoryStore(guarded % "p4ss%2Fw0rd", TinyEmbedder())) as store:
        refused(store, admin)


def refused(store, admin):
    store.remember("fine", scope=ANN)
    assert SECRET not in repr(store.backend) + store.backend.name
    admin.execute("ALTER TABLE guarded.records OWNER TO postgres")
    admin.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON guarded.records TO guard")
    store.remember("forgotten", scope=ANN)
    with pytest.raises(ReadOnlyIndex, match=r"may not rewrite guarded\.records"):
        store.forget(id="m2")
    admin.execute("REVOKE INSERT ON ALL TABLES IN SCHEMA guarded FROM guard")
    with pytest.raises(ReadOnlyIndex, match="ask for the right"):
        store.remember("more", scope=ANN)
    assert store.recall("fine", scope=ANN)


def test_each_schema_is_a_memory(opened, tmp_path):
    one, two = opened(), opened(tmp_path / "other")
    one.remember("in the first", scope=ANN)
    assert two.recall("in the first", scope=ANN) == []
    assert [m.text for m in opened().recall("where?", scope=ANN)] == ["in the first"]


def test_reading_what_is_not_there(opened):
    with pytest.raises(IndexNotFound, match="no memory in postgresql://"):
        opened(read_only=True)


def test_a_foreign_schema_and_a_newer_format_are_refused(opened, admin, url):
    name = url.rpartition("schema=")[2]
    admin.execute(f"CREATE SCHEMA {name}")
    admin.execute(f"CREATE TABLE {name}.orders (id int)")
    with pytest.raises(IndexDamaged, match=r"other tables \(orders\)"):
        opened()
    admin.execute(f"CREATE TABLE {name}.identity (key text, value text)")
    with pytest.raises(IndexDamaged, match="not a memory"):
        opened()
    admin.execute(f"DROP TABLE {name}.orders, {name}.identity")
    opened().remember("made in a schema that was there, empty", scope=ANN)
    admin.execute(f"UPDATE {name}.identity SET value = %s WHERE key = 'format'", (str(schema.FORMAT + 1),))
    with pytest.raises(IndexMismatch, match=f"format {schema.FORMAT + 1}"):
        opened()
    admin.execute(f"UPDATE {name}.identity SET value = %s WHERE key = 'format'", (str(schema.FORMAT),))
    store = opened()
    admin.execute(f"DROP TABLE {name}.postings")
    with pytest.raises(IndexDamaged, match="damaged"):
        store.recall("made", scope=ANN)


def test_a_connection_that_broke_is_made_anew(store, admin, url):
    store.remember("before", scope=ANN)
    for _ in range(2):
        cut(admin, url)
        assert [m.text for m in store.recall("when?", scope=ANN)] == ["before"]
    cut(admin, url)
    assert store.remember("after", scope=ANN).id == "m2"


def test_a_connection_that_breaks_in_the_middle_writes_nothing(store, admin, url):
    store.remember("before", scope=ANN)

    def write():
        with store.writing() as rows:
            rows.execute("UPDATE records SET trust = 0.1")
            cut(admin, url)
            rows.execute("SELECT 1")

    with pytest.raises(ServerUnreachable, match="nothing was written, try again"):
        write()
    assert store.get("m1").trust == 1.0

    def commit():
        with store.writing() as rows:
            rows.execute("UPDATE records SET trust = 0.1")
            cut(admin, url)

    with pytest.raises(ServerUnreachable, match="is not known"):
        commit()
    assert store.remember("after", scope=ANN).id == "m2"


def test_no_sample_of_a_text_reaches_the_statistics(store, admin, url):
    name = url.rpartition("schema=")[2]
    for i in range(30):
        store.remember(
            f"Ann hides xylophone {i % 3} under the quincunx", scope=ANN, key=("ann", "xylophone"), source={"author": "Annabel"}
        )
    admin.execute("ANALYZE")
    found = admin.execute(
        "SELECT tablename, attname, most_common_vals::text, histogram_bounds::text FROM pg_stats WHERE schemaname = %s", (name,)
    ).fetchall()
    assert {("records", "status"), ("records", "seq")} <= {row[:2] for row in found}
    assert not [
        row for row in found if row[:2] in {("records", "text"), ("keys", "attribute"), ("postings", "term"), ("sources", "body")}
    ]


def test_a_receipt_says_what_cannot_be_reached(store):
    made = store.remember("the quokka is ill", scope=ANN)
    store.remember("they say the quokka is ill", scope={"user": "bob"})
    proof = store.forget(id=made.id)
    assert proof.beyond == BEYOND
    assert (proof.searched, proof.found) == (1, 1)
    assert all(name.startswith(store.backend.schema) for name in proof.files)


def test_what_postgres_cannot_keep(store):
    with pytest.raises(InputError, match="NUL"):
        store.remember("zero \0 byte", scope=ANN)
    assert store.audit().records == 0


def test_closed(store):
    store.close()
    store.close()
    with pytest.raises(KitClosed, match="was closed"):
        store.recall("x", scope=ANN)


def test_statements_are_numbered_outside_of_quotes():
    assert _numbered("SELECT '?' FROM t WHERE a = ? AND b LIKE '%?' AND c IN (?, ?)") == (
        "SELECT '?' FROM t WHERE a = $1 AND b LIKE '%?' AND c IN ($2, $3)"
    )
    assert _numbered("a IN () OR b NOT IN ()") == "a = ANY ('{}') OR b <> ALL ('{}')"


def test_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra, match=r"contextkit\[postgres\]"):
        PostgresBackend("postgresql://h/d")


def test_a_kit_keeps_its_memory_there(url, tmp_path):
    with (
        ck.open(tmp_path / "one", embedder=TinyEmbedder(), memory=url) as one,
        ck.open(tmp_path / "two", embedder=TinyEmbedder(), memory=url) as two,
    ):
        one.memory.remember("Ann lives in Oslo", scope=ANN)
        assert [m.text for m in two.memory.recall("where?", scope=ANN)] == ["Ann lives in Oslo"]
    assert not (tmp_path / "one" / "memory.sqlite").exists()
    with ck.open(tmp_path / "one", embedder=TinyEmbedder(), memory=url, read_only=True) as reader:
        assert reader.memory.recall("where?", scope=ANN)
        with pytest.raises(ContextkitError, match="read_only"):
            reader.memory.remember("more", scope=ANN)


async def test_an_asynchronous_kit_too(url, tmp_path):
    async with await ck.AsyncKit.open(tmp_path / "one", embedder=TinyEmbedder(), memory=url) as kit:
        kit.kit.memory.remember("Ann lives in Oslo", scope=ANN)
    store = MemoryStore(url, TinyEmbedder())
    assert store.recall("where?", scope=ANN)
    store.close()


def test_the_command_line_and_its_settings(url, tmp_path, monkeypatch, capsys):
    from contextkit.cli.app import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONTEXTKIT_INDEX", str(tmp_path / "index"))
    shared = url.replace("postgres:@", "postgres:p4ss@")
    assert run(["memory", "--memory", shared, "state", "s1", '{"a": 1}']) == 0
    Path("contextkit.toml").write_text(f'memory = "{shared}"\n')
    assert run(["memory", "state", "s1"]) == 0
    assert capsys.readouterr().out.count('"version": 1') == 2
    assert not (tmp_path / "index" / "memory.sqlite").exists()
    for arguments in (["config"], ["config", "--json"]):
        assert run(arguments) == 0
        printed = "".join(capsys.readouterr().out.split())
        assert "p4ss" not in printed
        assert "postgres:***@" in printed
    assert run(["memory", "--memory", "mysql://h/d", "state", "s1"]) == 2
    assert "begins with postgresql://" in capsys.readouterr().err
    Path("contextkit.toml").write_text('memory = "beside"\n')
    (tmp_path / "beside").mkdir()
    assert run(["memory", "state", "s1"]) == 0
    assert (tmp_path / "beside" / "memory.sqlite").exists()
