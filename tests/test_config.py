"""Settings: precedence, files in parent folders, and messages for what cannot work."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from contextkit.config import Settings, find_file, load, settings_with_sources
from contextkit.errors import InputError


@pytest.fixture(autouse=True)
def _clean(monkeypatch, tmp_path):
    for name in [n for n in os.environ if n.upper().startswith("CONTEXTKIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write(folder, text):
    (folder / "contextkit.toml").write_text(text, encoding="utf-8")


def test_flag_over_environment_over_file_over_default(tmp_path, monkeypatch):
    assert load().budget == 1024
    write(tmp_path, "budget = 1\nk = 1\nwait = 1.5\n")
    assert (load().budget, load().wait) == (1, 1.5)
    monkeypatch.setenv("CONTEXTKIT_BUDGET", "2")
    monkeypatch.setenv("CONTEXTKIT_K", "2")
    assert load().budget == 2
    assert load(budget=3, k=None).model_dump(include={"budget", "k", "wait"}) == {"budget": 3, "k": 2, "wait": 1.5}
    found = {s.name: (s.value, s.source, s.where) for s in settings_with_sources(budget=3)}
    assert found["budget"] == (3, "flag", "--budget")
    assert found["k"] == (2, "environment", "CONTEXTKIT_K")
    assert found["wait"] == (1.5, "file", str(tmp_path / "contextkit.toml"))
    assert found["format"] == ("text", "default", "")


def test_the_nearest_file_above_wins_and_its_index_is_relative_to_it(tmp_path, monkeypatch):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    write(tmp_path, 'index = "far"\n')
    write(tmp_path / "a", 'index = "near"\n')
    monkeypatch.chdir(deep)
    assert find_file() == tmp_path / "a" / "contextkit.toml"
    assert load().index == tmp_path / "a" / "near"
    monkeypatch.setenv("CONTEXTKIT_INDEX", "here")
    assert load().index == Path("here")


def test_without_a_file(tmp_path):
    assert find_file(tmp_path) is None or not find_file(tmp_path).is_relative_to(tmp_path)
    assert load().index == Path(".contextkit/index")


def test_lists_in_the_environment_have_commas(monkeypatch, tmp_path):
    monkeypatch.setenv("CONTEXTKIT_GLOB", "*.md, *.txt,")
    assert load().glob == ("*.md", "*.txt")
    write(tmp_path, 'exclude = ["a", "b,c"]\n')
    assert load().exclude == ("a", "b,c")


def test_an_empty_variable_is_none(monkeypatch):
    monkeypatch.setenv("CONTEXTKIT_INDEX", "")
    monkeypatch.setenv("CONTEXTKIT_BUDGET", "")
    assert load() == Settings()
    assert {s.source for s in settings_with_sources()} == {"default"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("budgett = 5\n", "no setting 'budgett': there are index, embedder"),
        ('budget = "many"\n', "budget in "),
        ("budget = 0\n", "cannot be 0: input should be greater than or equal to 1"),
        ("budget = \n", "cannot be read as TOML"),
        ('format = "pdf"\n', "format in "),
    ],
)
def test_a_file_that_cannot_work_is_named(tmp_path, text, said):
    write(tmp_path, text)
    with pytest.raises(InputError, match=r"contextkit\.toml") as caught:
        load()
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_variable_that_cannot_work_is_named(monkeypatch):
    monkeypatch.setenv("CONTEXTKIT_WORKERS", "none")
    with pytest.raises(InputError, match="CONTEXTKIT_WORKERS cannot be 'none'"):
        load()


def test_a_flag_that_cannot_work_is_named():
    with pytest.raises(InputError, match="--budget cannot be 0"):
        load(budget=0)


def test_every_setting_says_what_it_is():
    assert all(s.description for s in settings_with_sources())
