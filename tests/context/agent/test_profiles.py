"""Agent profiles in contextkit.toml."""

from __future__ import annotations

import pytest

import contextkit as ck
from contextkit import config
from contextkit.context.profiles import load_profiles

FILE = """
budget = 700

[agents.researcher]
models = ["gpt-4o-mini", "gpt-4o"]
budget = 2000
reply_reserve = 100
system = "researcher.j2"
where = { team = "blue" }
format = "xml"
pinned = ["The team is Blue."]
sections.documents = { share = 0.5, maximum = 300 }
compaction = { keep = 2 }

[agents.writer]
system_text = "You write."
budget = 900
"""


@pytest.fixture
def file(tmp_path):
    (tmp_path / "researcher.j2").write_text("You look things up for {{ person }}.")
    path = tmp_path / "contextkit.toml"
    path.write_text(FILE)
    return path


def test_a_profile_gives_defaults_and_a_call_its_own(file, kit):
    profiles = load_profiles(file)
    assert list(profiles) == ["researcher", "writer"]
    call = profiles["researcher"].call("What is note 3?", variables={"person": "Ann"}, scope={"user": "ann"})
    assert (call.agent, call.model, call.budget, call.compaction.keep) == ("researcher", "gpt-4o-mini", 2000, 2)
    assert call.sections["documents"].maximum == 300
    packet = kit.build(call)
    assert packet.messages()[0]["content"] == "You look things up for Ann."
    assert packet.receipt.template.startswith("researcher ")
    assert profiles["researcher"].call("x", variables={"person": "Ann"}, model="gpt-4o", budget=500).budget == 500
    both = profiles["researcher"].call("x", variables={"person": "Ann"}, where={"year": 2026})
    assert both.where == {
        "$and": [{"team": "blue"}, {"year": 2026}]
    }  # a call narrows what its agent may read, it never widens it
    assert kit.build(profiles["writer"].call("What is note 3?")).budget == 900


def test_what_a_profile_does_not_allow(file):
    researcher = load_profiles(file)["researcher"]
    with pytest.raises(ck.InputError, match="may not use 'gpt-4'"):
        researcher.call("x", variables={"person": "Ann"}, model="gpt-4")
    with pytest.raises(ck.InputError, match="needs values for person"):
        researcher.call("x")
    with pytest.raises(ck.InputError, match="no prompt template for person"):
        load_profiles(file)["writer"].call("x", variables={"person": "Ann"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[agents.a]\nmood = 1", r"\[agents\.a\]: Profile: 'mood' is not known"),
        ("[agents.a]\nbudget = 0", r"\[agents\.a\]: Profile: budget cannot be 0"),
        ("[agents.a.sections.documents]\nshare = -1", r"\[agents\.a\]: sections.documents.share cannot be -1"),
        ("[agents.a.sections.answer]\nshare = 1", r"\[agents\.a\]: no rule for the section 'answer'"),
        ("[agents.a]\nsystem = 'x.j2'\nsystem_text = 'y'", "keep one"),
        ("agents = 3", "must be tables"),
        ("[agents", "cannot be read as TOML"),
    ],
)
def test_wrong_profiles_are_named(tmp_path, text, words):
    path = tmp_path / "contextkit.toml"
    path.write_text(text)
    with pytest.raises(ck.InputError, match=words):
        load_profiles(path)["a"].call("x")


def test_the_command_lines_settings_do_not_mind_profiles(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    assert config.load().budget == 700
    assert list(load_profiles()) == ["researcher", "writer"]


def test_no_file_no_profiles(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_profiles() == {}
