from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from contextkit.documents import ParsePool, parse
from contextkit.errors import DocumentTooLarge, InputError, ParseError, ParseLimit
from contextkit.types import Blob, Document

PLUGIN = '''
import ctypes, os, time
from contextkit.types import Document


class Trouble:
    """Does to its worker what the document says."""

    media_types = frozenset({"text/x-source"})
    version = "1"

    def parse(self, blob):
        what = blob.read().decode()
        if what == "hang":
            time.sleep(600)
        if what == "spin":
            while True:
                pass
        if what == "segfault":
            ctypes.string_at(0)
        if what == "exit":
            os._exit(3)
        if what == "memory":
            return Document(id=blob.id, text=str(len(bytearray(3 << 30))))
        if what == "noise":
            print("noise on the channel", flush=True)
            os.write(1, b"more noise")
        if what == "modules":
            import sys
            return Document(id=blob.id, text=" ".join(sys.modules))
        return Document(id=blob.id, text=f"{what} {os.getpid()}")
'''


@pytest.fixture
def trouble(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A parser plug-in, installed for the worker processes alone, that misbehaves on demand."""
    info = tmp_path / "trouble-1.dist-info"
    info.mkdir()
    (tmp_path / "trouble_plugin.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: trouble\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[contextkit.parsers]\ntrouble = trouble_plugin:Trouble\n")
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def blob(what: str, number: int = 0) -> Blob:
    return Blob(f"{what}-{number}", name=f"{what}.py", data=what.encode())


def children() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = {p.pid for p in children()}
    yield
    left = [p for p in children() if p.pid not in before]
    assert not psutil.wait_procs(left, timeout=5)[1]


def test_results_are_those_of_parse_in_the_order_of_the_input(samples: dict[str, Blob]) -> None:
    blobs = list(samples.values()) * 2
    with ParsePool(3) as pool:
        results = list(pool.run(iter(blobs)))
    assert [b for b, _ in results] == blobs
    assert [r for _, r in results] == [parse(b) for b in blobs]


def test_a_hanging_parser_costs_its_document_alone(trouble: Path) -> None:
    begin = time.perf_counter()
    with ParsePool(2, timeout=1.0) as pool:
        results = dict(
            zip("abcde", (r for _, r in pool.run([blob("hang"), blob("ok"), blob("spin"), blob("ok"), blob("ok")])), strict=True)
        )
    assert time.perf_counter() - begin < 20
    for key in "ac":
        assert isinstance(results[key], ParseLimit)
        assert "longer to read than the limit of 1 seconds" in str(results[key])
    assert all(isinstance(results[key], Document) for key in "bde")


def test_a_crash_costs_its_document_alone(trouble: Path) -> None:
    with ParsePool(1) as pool:
        results = [r for _, r in pool.run([blob("segfault"), blob("ok"), blob("exit"), blob("ok")])]
    assert isinstance(results[0], ParseError)
    assert "'segfault.py' crashes the parser (signal SIGSEGV)" in str(results[0])
    assert "exit status 3" in str(results[2])
    assert isinstance(results[1], Document)
    assert isinstance(results[3], Document)


def test_memory_is_bounded(trouble: Path) -> None:
    with ParsePool(1, memory=2 << 30) as pool:
        results = [r for _, r in pool.run([blob("memory"), blob("ok")])]
    assert isinstance(results[0], ParseLimit)
    assert "more memory to read than the limit of 2,048 MiB" in str(results[0])
    assert isinstance(results[1], Document)


def test_what_libraries_print_does_no_harm(trouble: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with ParsePool(1) as pool:
        assert all(isinstance(r, Document) for _, r in pool.run([blob("noise"), blob("noise")]))
    assert capfd.readouterr() == ("", "")


def test_workers_are_kept_and_light(trouble: Path) -> None:
    with ParsePool(1) as pool:
        texts = [r.text for _, r in pool.run([blob("ok"), blob("ok"), blob("modules")]) if isinstance(r, Document)]
    assert texts[0] == texts[1]
    assert not {"torch", "numpy", "sentence_transformers", "transformers", "pytest"} & set(texts[2].split())


def test_the_input_is_read_no_further_than_promised() -> None:
    taken = 0

    def source() -> Iterator[Blob]:
        nonlocal taken
        for number in range(100):
            taken += 1
            yield Blob(str(number), data=b"words")

    with ParsePool(2) as pool:
        results = pool.run(source())
        for done in range(1, 6):
            next(results)
            assert taken <= done + 8
        results.close()  # type: ignore[attr-defined]
    assert taken <= 13


def test_from_several_threads_at_once() -> None:
    outcome: dict[int, list[str]] = {}

    def work(which: int, pool: ParsePool) -> None:
        outcome[which] = [
            r.text
            for _, r in pool.run(Blob(f"{which}-{i}", data=f"{which}:{i}".encode()) for i in range(20))
            if isinstance(r, Document)
        ]

    with ParsePool(2) as pool:
        threads = [threading.Thread(target=work, args=(n, pool)) for n in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert outcome == {n: [f"{n}:{i}" for i in range(20)] for n in range(3)}


def test_limits_that_cannot_work_are_refused() -> None:
    with pytest.raises(InputError, match="at least one worker, not 0"):
        ParsePool(0)
    with pytest.raises(InputError, match="above 0 seconds"):
        ParsePool(timeout=0)
    with pytest.raises(InputError, match="memory limit"):
        ParsePool(memory=1)
    pool = ParsePool(1)
    pool.close()
    pool.close()
    with pytest.raises(InputError, match="closed"):
        next(pool.run([Blob("a", data=b"a")]))


def test_too_large_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_bytes(b"x" * 2000)
    blobs = [Blob("l", name="large.txt", path=tmp_path / "large.txt"), Blob("m", name="gone.txt", path=tmp_path / "gone.txt")]
    with ParsePool(1, max_bytes=1000) as pool:
        large, missing = (r for _, r in pool.run(blobs))
    assert isinstance(large, DocumentTooLarge)
    assert "2,000 bytes, the limit is 1,000" in str(large)
    assert isinstance(missing, ParseError)


def test_leaving_in_the_middle_leaves_nothing_behind(trouble: Path) -> None:
    begin = time.perf_counter()
    with ParsePool(2) as pool:
        for _ in pool.run([blob("ok"), blob("hang"), blob("hang"), blob("ok")]):
            break
    assert time.perf_counter() - begin < 15


SCRIPT = """
import sys
from contextkit.documents import ParsePool
from contextkit.types import Blob, Document
print("main runs", flush=True)
with ParsePool(2) as pool:
    for blob, result in pool.run(Blob(str(i), name="hang.py" if i > 3 else "a.txt", data=b"hang" if i > 3 else b"text") for i in range(8)):
        print(type(result).__name__, flush=True)
        if i_stop := len(sys.argv) > 1 and blob.id == "3":
            break
"""


def test_a_plain_script_without_a_main_guard_runs_once(trouble: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script), "stop"],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.split("\n") == ["main runs", *["Document"] * 4, ""]
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupt_and_a_kill_leave_no_children(trouble: Path, tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(5):
        process.stdout.readline()
    time.sleep(0.3)
    workers = psutil.Process(process.pid).children(recursive=True)
    assert len(workers) == 2
    process.send_signal(how)
    _, errors = process.communicate(timeout=20)
    assert not psutil.wait_procs(workers, timeout=8)[1]
    if how is signal.SIGINT:
        assert "KeyboardInterrupt" in errors
        assert process.returncode != 0


def test_a_worker_of_a_large_parent_is_kept(trouble: Path) -> None:
    ballast = bytearray(400 * 2**20)  # more than a third of the worker's limit; a child inherits the parent's peak
    ballast[:: 2**12] = b"x" * len(range(0, len(ballast), 2**12))
    with ParsePool(1, memory=2**30) as pool:
        texts = [r.text for _, r in pool.run([blob("ok"), blob("ok")]) if isinstance(r, Document)]
    assert len(set(texts)) == 1
    del ballast
