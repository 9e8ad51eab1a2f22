"""The program as a process: start-up, exit codes, interrupts, pipes, and that printed text cannot steer a terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from contextkit.cli import output

PROGRAM = [sys.executable, "-m", "contextkit"]


def program(*arguments, **more):
    return subprocess.run([*PROGRAM, *map(str, arguments)], capture_output=True, text=True, timeout=120, check=False, **more)


def test_help_without_a_verb(cli):
    for arguments in ((), ("-h",), ("--help",)):
        result = cli(*arguments)
        assert result.code == 0
        for verb in ("index", "search", "context", "explain", "receipts", "doctor", "config", "demo"):
            assert verb in result.out
    assert "build" in cli("index").out
    assert cli("index", "-h").code == 0


def test_version(cli):
    assert re.fullmatch(r"contextkit \d+\.\d+\.\d+\n", cli("--version").out)


def test_help_is_quick_and_imports_nothing_heavy():
    code = (
        "import sys; from contextkit.cli.app import run; run(['--help']); "
        "heavy = {'torch', 'numpy', 'faiss', 'transformers', 'unstructured', 'pydantic', 'pydantic_settings', 'contextkit.kit'}; "
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stderr == "[]\n"


@pytest.mark.skipif(os.name == "nt", reason="needs the processor time of child processes")
def test_help_takes_little_processor_time():
    import resource

    def spent():
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    times = []
    for _ in range(5):
        before = spent()
        program("--help")
        times.append(spent() - before)
    assert min(times) < 0.4  # 0.14 s on an idle machine; neighbours slow a processor down


def test_a_usage_error_is_one_line():
    result = program("no-such-verb")
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr == "contextkit: No such command 'no-such-verb'. (see contextkit --help)\n"


def test_a_closed_pipe_is_quiet(shared_index):
    process = subprocess.Popen(
        [*PROGRAM, "search", "leave", "--index", str(shared_index), "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    process.stdout.close()
    stderr = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=60) == 141
    assert stderr == ""


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_keeps_what_was_done_and_a_second_run_finishes(tmp_path):
    folder, index = tmp_path / "many", tmp_path / "index"
    folder.mkdir()
    for number in range(400):
        body = " ".join(f"Sentence {n} of note {number} speaks of topic {n * number % 97}." for n in range(60))
        (folder / f"{number:03}.txt").write_text(body, encoding="utf-8")
    process = subprocess.Popen(
        [*PROGRAM, "index", "build", str(folder), "--index", str(index), "--workers", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not (index / "manifest.json").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.05)
    time.sleep(2.0)
    assert process.poll() is None, "the build ended before it could be interrupted"
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the program and its workers
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == ""
    assert (
        err == "contextkit: interrupted: the index is whole and finished batches are kept; the same command goes on from there\n"
    )
    for number in range(8, 400):
        (folder / f"{number:03}.txt").unlink()
    again = program("index", "build", folder, "--index", index, "--json")
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)["sources"][0]
    assert report["added"] + report["unchanged"] >= 8


def test_warnings_are_one_line(cli, shared_index, monkeypatch):
    import warnings

    from contextkit import kit

    real = kit.Kit.search

    def search(self, *args, **kwargs):
        warnings.warn("the vector file was made again", RuntimeWarning, stacklevel=1)
        return real(self, *args, **kwargs)

    monkeypatch.setattr(kit.Kit, "search", search)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        result = cli("search", "leave", "--index", shared_index, "--json")
    assert result.err == "contextkit: warning: the vector file was made again\n"
    assert result.json["hits"]


def test_text_for_a_terminal_has_no_control_characters():
    assert output.visible("a\x1b[31mb\tc\nd\x07\x9b é ü 名\r") == "a\ufffd[31mb\tc\nd\ufffd\ufffd é ü 名\ufffd"


def test_nothing_in_a_cell_is_markup(capsys):
    output.console().print(output.table("", ("x",), [("[bold]kept[/bold]",)]))
    assert "[bold]kept[/bold]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (12_345_678, "12.3 MB"), (10**13, "10.0 TB")]
)
def test_sizes(count, text):
    assert output.size(count) == text


def test_progress_on_a_terminal_shows_each_stage(monkeypatch, capsys):
    import io

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    with output.progress() as tell:
        assert tell is not None
        tell("read", 1, 3)
        tell("embed", 2, None)
    assert "reading" in screen.getvalue()
    assert "embedding" in screen.getvalue()


def test_progress_into_a_pipe_is_silent():
    with output.progress() as tell:
        assert tell is None
