"""`contextkit search`, `context`, `explain` and `receipts` against a real index."""

from __future__ import annotations

import json
import shutil

import pytest

QUESTION = "What may a hotel cost a night?"


@pytest.fixture
def ask(cli, shared_index):
    """A verb on the shared index."""
    return lambda verb, *arguments, **more: cli(verb, *arguments, "--index", shared_index, **more)


def test_search_finds_the_passage_and_its_place(ask):
    result = ask("search", QUESTION, "-k", "1", "--json")
    assert result.code == 0
    (hit,) = result.json["hits"]
    assert hit["document_id"] == "travel"
    assert "135 euros" in hit["text"]
    assert hit["span"]["end"] - hit["span"]["start"] == len(hit["text"])
    assert set(hit) == {"score", "text", "document_id", "span", "pages", "metadata", "title", "uri", "header"}


def test_search_for_people_names_title_place_and_text(ask):
    out = ask("search", QUESTION, "-k", "1").out
    assert "Travel" in out
    assert "travel [" in out
    assert "135 euros" in out


def test_where_is_obeyed(ask):
    hits = ask("search", QUESTION, "--where", '{"team": "people"}', "--json").json["hits"]
    assert {h["document_id"] for h in hits} == {"leave"}
    assert ask("search", QUESTION, "--where", '{"team": "nobody"}', "--json").json["hits"] == []
    assert ask("search", QUESTION, "--where", '{"team": "nobody"}').err == "nothing found\n"


@pytest.mark.parametrize(
    ("flags", "seen"),
    [([], False), (["--user", "bob"], False), (["--user", "ann"], True), (["--user", "bob", "--group", "board"], True)],
)
def test_rights_are_those_of_the_user(ask, flags, seen):
    hits = ask("search", "What does Ann earn a month?", *flags, "--json").json["hits"]
    assert ("pay" in {h["document_id"] for h in hits}) is seen
    packet = ask("context", "What does Ann earn a month?", *flags)
    assert ("4,000" in packet.out) is seen


def test_context_prints_the_text_alone(ask):
    result = ask("context", QUESTION, "--budget", "60")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("[1] Travel")
    assert "135 euros" in result.out


def test_context_as_json_holds_the_account(ask):
    packet = ask("context", QUESTION, "--budget", "60", "--format", "json").json
    assert packet == {**ask("context", QUESTION, "--budget", "60", "--json").json, "receipt": packet["receipt"]}
    assert packet["tokens"] <= packet["budget"] == 60
    assert packet["receipt"]["tokens"] == packet["tokens"]
    assert packet["citations"][0]["document_id"] == "travel"
    assert packet["messages"][0]["content"].endswith(QUESTION)


def test_context_in_each_format(ask):
    assert ask("context", QUESTION, "--format", "xml").out.startswith("<documents>")
    assert ask("context", QUESTION, "--format", "markdown").out.startswith("### [1]")
    (message,) = ask("context", QUESTION, "--format", "messages", "--model", "gpt-4o").json
    assert message["role"] == "user"
    assert message["content"].endswith(f"Question: {QUESTION}")
    (message,) = ask("context", QUESTION, "--format", "messages", "--provider", "anthropic").json
    assert message["content"][0]["type"] == "text"


def test_the_model_decides_the_encoding(ask):
    assert ask("context", QUESTION, "--model", "gpt-4o", "--json").json["receipt"]["encoding"] == "o200k_base"


def test_a_question_may_come_from_stdin(ask):
    assert ask("search", "-", "-k", "1", "--json", stdin=f"{QUESTION}\n").json["question"] == QUESTION
    assert "135 euros" in ask("context", "-", stdin=QUESTION).out


def test_settings_come_from_environment_and_file(cli, shared_index, tmp_path, monkeypatch):
    monkeypatch.setenv("CONTEXTKIT_INDEX", str(shared_index))
    (tmp_path / "contextkit.toml").write_text('budget = 40\nmodel = "gpt-4o"\nformat = "xml"\n', encoding="utf-8")
    assert cli("context", QUESTION).out.startswith("<documents>")
    assert cli("context", QUESTION, "--json").json["budget"] == 40
    assert cli("context", QUESTION, "--json", "--budget", "50").json["budget"] == 50


@pytest.mark.parametrize("verb", ["search", "context"])
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([""], "the question is empty"),
        (["  \n "], "the question is empty"),
        (["x", "--where", "{team"], "--where is not JSON"),
        (["x", "--where", '["team"]'], "--where must be a JSON object"),
        (["x", "--where", '{"team": {"$near": 1}}'], "$near"),
        (["x", "--group", "board"], "--group needs --user"),
        (["x", "--no-such-flag"], "--no-such-flag"),
        ([], "QUESTION"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(ask, verb, arguments, said):
    result = ask(verb, *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("contextkit: ")
    assert result.err.count("\n") == 1
    assert said in result.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--budget", "0"], "--budget cannot be 0"),
        (["--budget", "-5"], "--budget cannot be -5"),
        (["--budget", "many"], "many"),
        (["--budget", "2"], "a budget of 2 tokens"),
        (["--model", "no-such-model"], "no-such-model"),
        (["--format", "pdf"], "pdf"),
    ],
)
def test_bad_budgets_and_models_are_named(ask, arguments, said):
    result = ask("context", QUESTION, *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    assert said in result.err


def test_k_below_one_is_named(ask):
    assert "-k cannot be 0" in ask("search", QUESTION, "-k", "0").err


def test_explain_shows_the_last_packet_or_a_named_one(ask):
    first = ask("context", QUESTION, "--json").json["receipt"]
    ask("context", "How many days of leave?", "--json")
    shown = ask("explain", first["id"]).out
    for part in (first["id"], QUESTION, "delivered", "Travel", "tokens", "why", "timings", "retrieve"):
        assert part in shown
    assert "How many days of leave?" in ask("explain").out
    assert ask("explain", first["id"][:6], "--json").json == first


def test_explain_of_an_unknown_receipt(ask):
    result = ask("explain", "zzzz")
    assert result.code == 2
    assert "zzzz" in result.err


def test_receipts_lists_the_newest_first(ask):
    made = [ask("context", f"Question {n} about leave?", "--json").json["receipt"]["id"] for n in range(3)]
    listed = ask("receipts", "--limit", "3", "--json").json
    assert [r["id"] for r in listed] == made[::-1]
    assert set(listed[0]) == {"id", "created", "question", "budget", "tokens", "model", "format", "generation", "confidence"}
    assert made[-1] in ask("receipts").out
    assert json.loads(ask("receipts", "-n", "1", "--json").out)[0]["id"] == made[-1]


def test_an_index_that_cannot_be_written_still_answers(cli, shared_index, tmp_path, monkeypatch):
    import os

    folder = tmp_path / "frozen"
    shutil.copytree(shared_index, folder, ignore=shutil.ignore_patterns("receipts*"))
    known = os.access
    # root may write wherever the system lets it: what the system says of a read-only mount is said here
    monkeypatch.setattr(os, "access", lambda path, mode: known(path, mode) and not (mode == os.W_OK and str(path) == str(folder)))
    result = cli("context", QUESTION, "--budget", "60", "--index", folder)
    assert result.code == 0
    assert "135 euros" in result.out
    assert not list(folder.glob("receipts*"))


def test_an_index_that_holds_nothing_says_so(cli, tmp_path):
    import contextkit as ck

    with ck.open(tmp_path / "empty"):
        pass
    result = cli("context", QUESTION, "--index", tmp_path / "empty")
    assert (result.code, result.out.strip()) == (0, "")
    assert "nothing found" in result.err
