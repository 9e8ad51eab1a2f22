"""The command line in this process, and a small index made by it with the real embedder."""

from __future__ import annotations

import io
import json
import sys
from dataclasses import dataclass

import pytest

from contextkit.cli.app import run

LEAVE = "# Leave\n\nEveryone has thirty days of leave a year. Up to five days may be carried over until the end of March.\n"
HOTELS = "# Travel\n\nThe hotel cap is 135 euros a night in Germany. Trains come before planes for trips under six hours.\n"
ONCALL = "# On call\n\nThe on-call engineer answers within fifteen minutes. A weekend on call pays 240 euros.\n"
QUESTION = "What may a hotel cost a night?"


@dataclass(frozen=True)
class Result:
    """Exit code and what was printed."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """Stdout as JSON: fails where anything else was printed."""
        return json.loads(self.out)


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch, tmp_path):
    """No setting of whoever runs the tests reaches them."""
    import os

    for name in [n for n in os.environ if n.upper().startswith("CONTEXTKIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def cli(capsys, monkeypatch):
    """Runs one command line in this process: `cli("search", "words", stdin="")`."""

    def call(*arguments, stdin=None):
        if stdin is not None:
            monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        code = run([str(a) for a in arguments])
        printed = capsys.readouterr()
        return Result(code, printed.out, printed.err)

    return call


@pytest.fixture
def documents(tmp_path):
    """A folder of three Markdown files."""
    folder = tmp_path / "documents"
    folder.mkdir()
    for name, text in (("leave.md", LEAVE), ("travel.md", HOTELS), ("on-call.md", ONCALL)):
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="session")
def shared_index(tmp_path_factory):
    """An index of three documents, one of them for one user alone; tests only read it."""
    import contextkit as ck

    folder = tmp_path_factory.mktemp("cli") / "index"
    with ck.open(folder) as kit:
        kit.add(
            [
                ck.Document(id="leave", text=LEAVE, title="Leave", media_type="text/markdown", metadata={"team": "people"}),
                ck.Document(id="travel", text=HOTELS, title="Travel", media_type="text/markdown", metadata={"team": "office"}),
                ck.Document(id="pay", text="Ann earns 4,000 euros a month.", title="Pay", access=["user:ann", "group:board"]),
            ]
        )
    return folder
