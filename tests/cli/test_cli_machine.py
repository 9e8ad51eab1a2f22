"""`contextkit doctor`, `config` and `demo`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contextkit.errors import EmbedderError, PluginError

ROOT = Path(__file__).parents[2]


def test_doctor_finds_this_machine_ready(cli, shared_index):
    result = cli("doctor", "--index", shared_index, "--json")
    assert result.code == 0, result.out
    assert result.json["ready"] is True
    found = {f["check"]: f for f in result.json["findings"]}
    checks = {
        "python",
        "packages",
        "sqlite",
        "processor",
        "vocabulary cl100k_base",
        "vocabulary o200k_base",
        "ocr",
        "weights",
        "embedding",
        "disk",
        "index",
    }
    assert checks <= set(found)
    assert "3 documents" in found["index"]["detail"] or "2 documents" in found["index"]["detail"]
    assert "pydantic" in found["packages"]["detail"]
    assert set(found["weights"]) == {"check", "status", "detail", "remedy"}


def test_doctor_for_people(cli):
    shown = cli("doctor", "--quick")
    assert shown.code == 0
    assert shown.out.endswith("ready\n")
    assert "weights" not in shown.out


def test_doctor_names_what_is_missing_and_exits_1(cli, monkeypatch):
    from importlib import metadata

    real = metadata.version

    def version(name):
        if name == "tiktoken":
            raise metadata.PackageNotFoundError(name)
        return "1.0" if name == "pydantic" else real(name)

    monkeypatch.setattr(metadata, "version", version)
    result = cli("doctor", "--quick", "--json")
    assert result.code == 1
    failed = {f["check"]: f for f in result.json["findings"] if f["status"] == "fail"}
    assert set(failed) == {"package tiktoken", "package pydantic"}
    assert "pip install" in failed["package tiktoken"]["remedy"]
    assert "1.0 does not fit" in failed["package pydantic"]["detail"]


def test_doctor_reports_wrong_weights_and_broken_plugins(cli, monkeypatch):
    from contextkit import plugins
    from contextkit.embedding.folder import ModelFolder

    def load(group, name):
        raise PluginError(f"{name} does not load")

    def digest(self):
        raise EmbedderError("the weights are not the expected ones")

    monkeypatch.setattr(plugins, "load", load)
    monkeypatch.setattr(ModelFolder, "digest", property(digest))
    result = cli("doctor", "--json")
    assert result.code == 1
    failed = {f["check"] for f in result.json["findings"] if f["status"] == "fail"}
    assert {"weights", "plug-in files", "plug-in faiss"} <= failed


def test_doctor_names_a_broken_index(cli, tmp_path):
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "notes.txt").write_text("no index", encoding="utf-8")
    result = cli("doctor", "--quick", "--index", folder, "--json")
    assert result.code == 1
    assert next(f for f in result.json["findings"] if f["check"] == "index")["status"] == "fail"


def test_config_says_where_each_setting_comes_from(cli, tmp_path, monkeypatch):
    monkeypatch.setenv("CONTEXTKIT_K", "4")
    (tmp_path / "contextkit.toml").write_text('budget = 300\nindex = "var/index"\n', encoding="utf-8")
    found = cli("config", "--json").json
    settings = {s["name"]: s for s in found["settings"]}
    assert found["file"] == str(tmp_path / "contextkit.toml")
    assert (settings["k"]["value"], settings["k"]["source"], settings["k"]["where"]) == (4, "environment", "CONTEXTKIT_K")
    assert (settings["budget"]["value"], settings["budget"]["source"]) == (300, "file")
    assert settings["index"]["value"] == str(tmp_path / "var/index")
    assert settings["format"]["source"] == "default"
    assert cli("config", "--json", "--index", "x").json["settings"][0]["source"] == "flag"
    shown = cli("config").out
    assert "environment CONTEXTKIT_K" in shown
    assert "contextkit.toml" in shown


def test_a_broken_file_is_one_line(cli, tmp_path):
    (tmp_path / "contextkit.toml").write_text("budgett = 3\n", encoding="utf-8")
    result = cli("config")
    assert result.code == 2
    assert "no setting 'budgett'" in result.err


@pytest.fixture
def small_library(tmp_path, documents):
    questions = ["What may a hotel cost?", "How many days of leave?", "Who answers on call?"]
    (tmp_path / "questions.json").write_text(json.dumps({"questions": [{"question": q} for q in questions]}), encoding="utf-8")
    return documents, questions


def test_demo_answers_and_says_what_to_try(cli, small_library, tmp_path):
    folder, questions = small_library
    result = cli("demo", "--library", folder, "--index", tmp_path / "demo")
    assert result.code == 0
    for question in questions:
        assert question in result.out
    assert "135 euros" in result.out
    assert "(--format messages)" in result.out
    assert '"role": "user"' in result.out
    assert "timings" in result.out
    commands = [line for line in result.out.splitlines() if line.startswith("  contextkit ")]
    assert len(commands) == 3


def test_demo_as_json(cli, small_library, tmp_path):
    folder, questions = small_library
    found = cli("demo", "--library", folder, "--index", tmp_path / "demo", "--json").json
    assert [p["question"] for p in found["packets"]] == questions
    assert found["report"]["added"] == 3


@pytest.mark.parametrize("prepared", ["missing", "without questions"])
def test_demo_without_a_library_is_one_line(cli, tmp_path, prepared):
    folder = tmp_path / "library"
    if prepared == "without questions":
        folder.mkdir()
    result = cli("demo", "--library", folder)
    assert result.code == 2
    assert result.err.startswith("contextkit: no ")
    assert not (tmp_path / ".contextkit").exists()


def test_demo_finds_the_library_of_the_checkout():
    from contextkit.cli.demo import _library

    assert _library(None).resolve() == ROOT / "examples/library"
