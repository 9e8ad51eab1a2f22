"""Kills a writer with SIGKILL before many of its SQL statements, and looks at what is left each time. Run by test_kill.py.

Prints one line of JSON: the number of points, and what was wrong at which.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "catalog"))

from tests_pipeline import make_pipeline

from contextkit.catalog import Catalog, database
from contextkit.connectors.files import FilesConnector
from contextkit.sync import sync
from contextkit.testing import TinyEmbedder


def write(docs: Path, **texts: str) -> None:
    docs.mkdir(exist_ok=True)
    for name, text in texts.items():
        (docs / f"{name}.txt").write_text(text)


def run_sync(folder: Path, docs: Path) -> int:
    embedder = TinyEmbedder()
    with Catalog.open(folder) as catalog:
        sync(catalog, FilesConnector(docs), make_pipeline(embedder), retire=True)
    return embedder.embedded


def first(folder: Path, docs: Path) -> None:
    run_sync(folder, docs)


def rollback(folder: Path, docs: Path) -> None:
    with Catalog.open(folder) as catalog:
        catalog.rollback(1)


def gc(folder: Path, docs: Path) -> None:
    with Catalog.open(folder) as catalog:
        catalog.gc(1)


def state(folder: Path) -> dict[str, list[object]]:
    """All that a reader sees, after checking that the database is whole."""
    with Catalog.open(folder) as catalog:
        with catalog._db.reading() as c:
            assert c.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert c.execute("PRAGMA foreign_key_check").fetchall() == []
        seen = catalog.visible()
        out: dict[str, list[object]] = {}
        for d in catalog.documents(seen):
            chunks = catalog.chunks_of(d.content_id)
            text = catalog.content_text(d.content_id)
            assert all(text[c.start : c.end] == c.text for c in chunks)
            assert catalog.passage_vectors([c.id for c in chunks]).shape == (len(chunks), 32)
            assert [len(v) for v in catalog.sentence_vectors([c.id for c in chunks])] == [len(c.sentences) for c in chunks]
            found, _ = catalog.lexical(["line"], 10_000, seen.allowed)
            assert {c.id for c in chunks if "line" in c.text} <= set(found.tolist())
            out[d.id] = [text, dict(d.metadata), [[c.start, c.text, c.header] for c in chunks]]
        return out


def killed_at(n: int | None, step, folder: Path, docs: Path) -> int:
    """Runs a step in a child that dies before its n-th statement (None: counts them). Gives the number, or -1 where it died."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        count = 0

        def statement(text: str) -> None:
            nonlocal count
            count += 1
            if count == n:
                os.kill(os.getpid(), signal.SIGKILL)

        connect = database.Database._connect

        def traced(self) -> sqlite3.Connection:
            connection = connect(self)
            connection.set_trace_callback(statement)
            return connection

        database.Database._connect = traced
        try:
            step(folder, docs)
            os.write(write_end, str(count).encode())
            os._exit(0)
        finally:
            os._exit(1)
    os.close(write_end)
    _, status = os.waitpid(child, 0)
    with os.fdopen(read_end) as pipe:
        text = pipe.read()
    if os.WIFSIGNALED(status):
        return -1
    assert os.WEXITSTATUS(status) == 0, f"the step failed at {n}"
    return int(text)


def main(work: Path, share: int) -> None:
    index, docs, one, two = work / "index", work / "docs", work / "one", work / "two"
    write(
        one, **{f"d{i}": f"document {i}\nline two\nline three\nline four {i}\n" for i in range(8)}, twin="document 1\nline two\n"
    )
    write(two, **{f"d{i}": f"document {i}\nline two\nline three\nline {i} changed\n" for i in range(3)})
    write(
        two, moved=(one / "d4.txt").read_text(), twin="document 1\nline two\n", d5="document 5 all new\n", new="a new line\n" * 9
    )
    Catalog.create(index, TinyEmbedder().info).close()
    steps = [("first", first, one), ("second", first, two), ("rollback", rollback, None), ("gc", gc, None)]
    points, wrong = 0, []
    for name, step, content in steps:
        if content is not None:
            shutil.rmtree(docs, ignore_errors=True)
            shutil.copytree(content, docs)
        before = state(index)
        start = work / "start"
        shutil.rmtree(start, ignore_errors=True)
        shutil.copytree(index, start)
        total = killed_at(None, step, index, docs)
        after = state(index)
        for n in sorted({*range(1, total, max(1, total // share)), total - 2, total - 1, total}):
            trial = work / "trial"
            shutil.rmtree(trial, ignore_errors=True)
            shutil.copytree(start, trial)
            points += 1
            died = killed_at(n, step, trial, docs) == -1
            try:
                assert died, "did not die"
                assert state(trial) in (before, after), "neither before nor after"
                step(trial, docs)
                assert state(trial) == after, "a second run does not finish"
            except Exception as error:  # noqa: BLE001 - everything that is wrong is reported with its point
                wrong.append(f"{name} {n}/{total}: {type(error).__name__} {error}")
    print(json.dumps({"points": points, "wrong": wrong}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
