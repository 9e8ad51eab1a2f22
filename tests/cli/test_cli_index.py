"""`contextkit index ...` against real folders."""

from __future__ import annotations

import pytest


@pytest.fixture
def index(tmp_path):
    return tmp_path / "index"


def test_build_adds_then_changes_and_never_retires(cli, documents, index):
    first = cli("index", "build", documents, "--index", index, "--json")
    assert (first.code, first.err) == (0, "")
    assert first.json["failed"] == 0
    assert first.json["sources"][0]["added"] == 3

    (documents / "travel.md").write_text("# Travel\n\nThe hotel cap is now 140 euros.\n", encoding="utf-8")
    (documents / "leave.md").unlink()
    second = cli("index", "build", documents, "--index", index, "--json").json["sources"][0]
    assert (second["added"], second["changed"], second["unchanged"], second["removed"]) == (0, 1, 1, 0)
    assert cli("index", "info", "--index", index, "--json").json["documents"] == 3


def test_sync_retires_what_is_gone(cli, documents, index):
    cli("index", "sync", documents, "--index", index)
    (documents / "leave.md").unlink()
    report = cli("index", "sync", documents, "--index", index, "--json").json["sources"][0]
    assert (report["removed"], report["unchanged"]) == (1, 2)
    assert cli("index", "info", "--index", index, "--json").json["documents"] == 2


def test_sync_brakes_before_a_mass_delete(cli, tmp_path, index):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(24):
        (folder / f"{number}.txt").write_text(f"Note number {number}.", encoding="utf-8")
    assert cli("index", "sync", folder, "--index", index).code == 0
    for number in range(22):
        (folder / f"{number}.txt").unlink()
    refused = cli("index", "sync", folder, "--index", index)
    assert refused.code == 2
    assert refused.err.count("\n") == 1
    assert cli("index", "info", "--index", index, "--json").json["documents"] == 24
    assert cli("index", "sync", folder, "--index", index, "--allow-mass-delete", "--json").json["sources"][0]["removed"] == 22


def test_glob_and_exclude_choose_files(cli, documents, index):
    (documents / "data.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    cli("index", "build", documents, "--index", index, "--glob", "*.md", "--exclude", "leave*", "--workers", "1")
    ids = {hit["document_id"] for hit in cli("search", "leave travel call data", "--index", index, "--json").json["hits"]}
    assert {i.rpartition("/")[2] for i in ids} == {"travel.md", "on-call.md"}


def test_a_broken_document_fails_alone_and_the_exit_code_says_so(cli, documents, index):
    (documents / "broken.pdf").write_bytes(b"%PDF-1.7\n" + bytes(range(256)) * 8)
    result = cli("index", "build", documents, "--index", index, "--json")
    assert result.code == 1
    assert result.json["failed"] == 1
    failure = result.json["sources"][0]["failures"][0]
    assert "broken.pdf" in failure["id"]
    assert failure["reason"]
    assert cli("index", "info", "--index", index, "--json").json["documents"] == 3

    again = cli("index", "build", documents, "--index", index)
    assert again.code == 1
    assert again.err.startswith("failed: ")
    assert "broken.pdf" in again.err


def test_people_see_a_table(cli, documents, index):
    result = cli("index", "build", documents, "--index", index)
    assert result.code == 0
    assert "chunks embedded" in result.out
    assert "files:" in result.out
    shown = cli("index", "info", "--index", index).out
    assert "all-MiniLM-L6-v2" in shown
    assert "3 documents" in shown


def test_remove_takes_a_document_out(cli, documents, index):
    cli("index", "build", documents, "--index", index)
    hit = cli("search", "hotel cap", "-k", "1", "--index", index, "--json").json["hits"][0]
    result = cli("index", "remove", hit["document_id"], "--index", index, "--json")
    assert result.json["removed"] == [hit["document_id"]]
    left = cli("search", "hotel cap", "--index", index, "--json").json["hits"]
    assert hit["document_id"] not in {h["document_id"] for h in left}


@pytest.mark.parametrize("verb", ["build", "sync"])
def test_a_missing_source_stops_before_anything_is_made(cli, documents, index, verb):
    result = cli("index", verb, documents, "/no/such/folder", "--index", index)
    assert result.code == 2
    assert result.err == "contextkit: there is no file or folder '/no/such/folder': nothing was done\n"
    assert not index.exists()


def test_an_unknown_model_is_named_before_anything_is_made(cli, documents, index):
    result = cli("index", "build", documents, "--index", index, "--embedder", "no/such/model")
    assert result.code == 2
    assert "no/such/model" in result.err
    assert not index.exists()


@pytest.mark.parametrize("arguments", [("info",), ("remove", "x")])
def test_no_index_says_how_to_make_one(cli, index, arguments):
    result = cli("index", *arguments, "--index", index)
    assert result.code == 2
    assert "contextkit index build" in result.err
    assert not index.exists()


def test_remove_of_an_unknown_id_changes_nothing(cli, shared_index):
    result = cli("index", "remove", "nobody", "--index", shared_index)
    assert result.code == 2
    assert "nobody" in result.err


def test_an_empty_folder_is_no_error(cli, tmp_path, index):
    empty = tmp_path / "empty"
    empty.mkdir()
    result = cli("index", "build", empty, "--index", index, "--json")
    assert result.code == 0
    assert result.json["sources"][0]["added"] == 0


def test_odd_names_survive(cli, tmp_path, index):
    folder = tmp_path / "odd \x1b[31m 名前"
    folder.mkdir()
    (folder / "a b 'c'.txt").write_text("The odd file speaks of walnuts.", encoding="utf-8")
    built = cli("index", "build", folder, "--index", index)
    assert built.code == 0
    assert "\x1b[31m" not in built.out
    assert cli("search", "walnuts", "--index", index, "--json").json["hits"][0]["text"].endswith("walnuts.")


def test_what_the_system_refuses_is_one_line(cli, documents, tmp_path):
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    result = cli("index", "build", documents, "--index", tmp_path / "file" / "index")
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("contextkit: ")
    assert result.err.count("\n") == 1


def test_a_report_fits_a_narrow_terminal(cli, documents, index, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    out = cli("index", "build", documents, "--index", index).out
    assert out.startswith(f"files:{documents}: 3 added; 3 chunks embedded in ")
    assert out.count("\n") == 1
