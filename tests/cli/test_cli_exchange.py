"""`contextkit index export` and `import`, and sources that are addresses."""

from __future__ import annotations

import zipfile

import pytest

pytest.importorskip("pyarrow")


def test_out_and_in(cli, documents, tmp_path):
    assert cli("index", "build", documents, "--index", "first").code == 0
    out = cli("index", "export", "files", "--index", "first", "--json").json
    assert out["documents"] == len(list(documents.iterdir()))
    made = cli("index", "import", "files", "--index", "second", "--json").json
    assert made["documents"] == out["documents"]
    ours, theirs = (cli("search", "hotel cap", "--index", name, "--json").json for name in ("first", "second"))
    assert ours == theirs
    again = cli("index", "import", "files", "--index", "second")
    assert (again.code, again.out) == (2, "")
    assert "exists and is not empty" in again.err
    assert cli("index", "import", "nowhere", "--index", "third").code == 2


def test_addresses(cli, documents, tmp_path):
    with zipfile.ZipFile("docs.zip", "w") as archive:
        for path in documents.iterdir():
            archive.write(path, path.name)
    done = cli("index", "sync", "zip://docs.zip", f"file://{documents}", "--json")
    assert done.code == 0, done.err
    assert [s["source"].partition(":")[0] for s in done.json["sources"]] == ["objects", "files"]
    wrong = cli("index", "build", "nosuch://place")
    assert wrong.code == 2
    assert "no storage is known by 'nosuch'" in wrong.err
    missing = cli("index", "build", "file:///nowhere/at/all")
    assert missing.code == 2
    assert "no file or folder" in missing.err
