"""Passages, screens, facts of models, ages and trust of documents, kinds of tasks, the published schema."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jsonschema
import pytest
from agent_checks import check_all

import contextkit as ck
from contextkit.context import handoff
from contextkit.context.profiles import load_profiles
from contextkit.context.route import Candidate
from contextkit.errors import PluginError
from contextkit.testing import TinyEmbedder


def call(**changes) -> ck.AgentCall:
    return ck.AgentCall(**{"question": "What is subject 7?", "model": "gpt-4o", "budget": 2000, "reply_reserve": 0, **changes})


# ------------------------------------------------------------------------------------------------------------ passages and fill


def test_k_is_the_most_passages(kit):
    whole = kit.build(call())
    few = kit.build(call(k=2))
    check_all(kit, call(k=2), few)
    assert len(whole.citations) > 2 >= len(few.citations) > 0
    assert few.citations[0].document_id == whole.citations[0].document_id
    assert len(kit.build(call(k=1)).citations) == 1
    assert kit.build(call(k=10_000)).text == whole.text
    for wrong in (0, -1, "many"):
        with pytest.raises(ck.InputError, match="k cannot be"):
            call(k=wrong)


def test_enough_takes_less_than_full(kit):
    full, enough = kit.build(call()), kit.build(call(fill="enough"))
    assert 0 < enough.sections["documents"].tokens < full.sections["documents"].tokens


# ---------------------------------------------------------------------------------------------------------------------- screens


class Keys:
    name = "keys"

    def findings(self, text: str, section: str) -> list[str]:
        if "FORBIDDEN" in text:
            raise ck.InputError(f"the section {section} holds what must not be sent")
        return ["a key"] if "sk-" in text else []


def test_screens_look_over_every_section(kit):
    packet = kit.build(call(system="sk-1", memory=["sk-2"], history=[{"role": "user", "content": "sk-3"}] * 2, screens=[Keys()]))
    assert [(f.screen, f.section, f.what) for f in packet.receipt.findings] == [
        ("keys", "system", "a key"), ("keys", "history", "a key"), ("keys", "memory", "a key"),
    ]  # fmt: skip
    before = kit.receipt().id
    with pytest.raises(ck.InputError, match="the section question holds what must not be sent"):
        kit.build(call(question="FORBIDDEN?", screens=[Keys()]))
    assert kit.receipt().id == before
    with pytest.raises(ck.InputError, match="screens"):
        call(screens=["keys"])


# -------------------------------------------------------------------------------------------------------------- facts of models


def test_what_a_user_knows_of_a_model_holds(kit):
    facts = {"house-model": {"encoding": "o200k_base", "window": 1200, "input_price": 4.0, "cached_input_price": 1.0}}
    asked = call(model="house-model", budget=None, catalogue=facts)
    packet = kit.build(asked)
    assert (packet.budget, packet.receipt.window, packet.receipt.encoding) == (1200, 1200, "o200k_base")
    assert packet.receipt.dollars == pytest.approx(packet.tokens * 4 / 1e6)
    assert not packet.sections["question"].exact  # nobody knows how it frames its messages
    cheaper = kit.build(call(catalogue={"gpt-4o": {"input_price": 1.0, "window": 1500}}, budget=None))
    assert cheaper.budget == 1500
    assert cheaper.receipt.dollars == pytest.approx(cheaper.tokens / 1e6)
    with pytest.raises(
        ck.InputError, match="'house-model' is in no catalogue, and the facts given of it do not name its encoding"
    ):
        kit.build(call(model="house-model", catalogue={"house-model": {"window": 1200}}))
    with pytest.raises(ck.InputError, match=r"catalogue\.x\.window cannot be 0"):
        call(catalogue={"x": {"window": 0}})


# --------------------------------------------------------------------------------------------------------------- age, trust, price


def test_documents_say_how_old_and_how_trusted_they_are(tmp_path):
    week = (datetime.now(UTC) - timedelta(days=7)).isoformat()
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add(
            [
                ck.Document("old", "Subject 7 is about bees.", metadata={"modified": week, "trust": 0.4}),
                ck.Document("odd", "Subject 7 is about bread.", metadata={"modified": "last week", "trust": "much"}),
            ]
        )
        items = {i.document_id: i for i in kit.build(call()).items}
        assert (items["old"].age_days, items["old"].trust) == (7.0, 0.4)
        assert (items["odd"].age_days, items["odd"].trust) == (None, None)
        receipt = kit.receipt()
        assert {i.document_id: i for i in receipt.items} == items


def test_only_what_the_provider_gives_back_is_priced_as_cached(kit):
    short = call(system="Rule: be exact. " * 20, conversation="short", budget=800)
    kit.build(short)
    receipt = kit.build(short).receipt
    assert receipt.cached_prefix_tokens > 0
    assert receipt.cached_prefix_usable == 0  # below what providers cache
    assert receipt.dollars == pytest.approx(receipt.tokens * 2.5 / 1e6)
    long = call(system="Rule: be exact. " * 400, conversation="long", budget=4000)
    kit.build(long)
    receipt = kit.build(long).receipt
    cached = receipt.cached_prefix_usable
    assert cached > 1024
    assert receipt.dollars == pytest.approx(((receipt.tokens - cached) * 2.5 + cached * 1.25) / 1e6)
    assert sum(u.dollars_cached or 0 for u in receipt.sections.values()) == pytest.approx(cached * 1.25 / 1e6)


# ------------------------------------------------------------------------------------------------------------- profiles and routes

FILE = """
[agents.researcher]
models = ["gpt-4o-mini", { model = "gpt-4o", tier = 2, data_classes = ["public"], seconds = 9.0 }]
tasks = { summarise = 0, answer = 2 }
budget = 2000
reply_reserve = 100
k = 3
fill = "enough"
recall = { kinds = ["semantic"], k = 5 }

[models.gpt-4o-mini]
input_price = 90.0
output_price = 90.0

[agents.writer]
screens = ["no-such-screen"]
summarizer = { model = "gpt-4o-mini", url = "http://127.0.0.1:9/v1", key = "HOUSE_KEY" }
"""


@pytest.fixture
def profiles(tmp_path):
    path = tmp_path / "contextkit.toml"
    path.write_text(FILE)
    return load_profiles(path)


def test_a_profile_says_who_serves_which_task(kit, profiles, monkeypatch):
    researcher = profiles["researcher"]
    made = researcher.call("What is note 3?", task="answer")
    assert (made.k, made.fill, made.recall.kinds, made.recall.k, made.task) == (3, "enough", {"semantic"}, 5, "answer")
    assert kit.route(made, profile=researcher).model == "gpt-4o"
    easy = researcher.call("What is note 3?", task="summarise")
    assert kit.route(easy, profile=researcher).model == "gpt-4o"  # the file makes the small one dear
    assert kit.route(easy, ["gpt-4o-mini"], profile=researcher).model == "gpt-4o-mini"
    with pytest.raises(ck.InputError, match="no candidate can serve the call: gpt-4o-mini: its tier 0 is below 2"):
        kit.route(made, ["gpt-4o-mini"], profile=researcher)
    with pytest.raises(ck.InputError, match="may not see 'secret' data"):
        kit.route(made, profile=researcher, data_class="secret")
    with pytest.raises(ck.InputError, match="takes about 9 seconds, 5 are left"):
        kit.route(made, profile=researcher, deadline=5)
    with pytest.raises(ck.InputError, match="'researcher' has no task 'sing': its tasks are answer, summarise"):
        researcher.call("x", task="sing")
    with pytest.raises(ck.InputError, match="may not use 'o3': its models are gpt-4o-mini, gpt-4o"):
        kit.route(easy, ["o3"], profile=researcher)
    with pytest.raises(ck.InputError, match="route needs candidates"):
        kit.route(call())
    assert kit.route(easy, profile=researcher, tier=2) == kit.route(
        easy, [Candidate(**researcher.candidates[1].model_dump()), researcher.candidates[0]][::-1], tier=2
    )
    assert kit.build(made).receipt.task == "answer"
    monkeypatch.setenv("HOUSE_KEY", "secret")
    with pytest.raises(PluginError, match="no-such-screen"):
        profiles["writer"].call("x")
    summarizer = profiles["writer"].summarizer.open()
    assert summarizer.url == "http://127.0.0.1:9/v1/chat/completions"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[agents.a]\nname = 'b'", r"\[agents\.a\]: 'name' is not for the file"),
        ("[agents.a]\nk = 0", r"\[agents\.a\]: Profile: k cannot be 0"),
        ("[agents.a]\nrecall = { kinds = ['dreams'] }", r"\[agents\.a\]: .*kinds"),
        ("[agents.a]\nrecall = { sort = 1 }", r"\[agents\.a\]: .*'sort' is not known"),
        ("[agents.a]\nmodels = [{ model = 'x', teir = 1 }]", r"\[agents\.a\]: .*teir"),
        ("[agents.a]\nsummarizer = { model = 'x' }", r"\[agents\.a\]: .*url"),
        ("[agents.a]\nsections = { pinned = { share = -1 } }", r"\[agents\.a\]: sections\.pinned\.share cannot be -1"),
        ("[agents.a]\n[models.x]\nwindow = 0", r"\[models\.x\]: ModelFacts: window cannot be 0"),
        ("[agents.a]\n[models]\nx = 1", "models must be tables"),
    ],
)
def test_what_a_profile_may_not_say(tmp_path, text, words):
    path = tmp_path / "contextkit.toml"
    path.write_text(text)
    with pytest.raises(ck.InputError, match=words):
        load_profiles(path)


# -------------------------------------------------------------------------------------------------------------------- the schema


def test_the_schema_is_published_and_hand_offs_keep_to_it(kit):
    path = Path(handoff.__file__).with_name(handoff.SCHEMA)
    assert path.read_text("utf-8") == handoff.schema_text(), "run `contextkit handoff schema` and look at the difference"
    schema = json.loads(path.read_text("utf-8"))
    assert schema["$id"] == f"urn:contextkit:handoff:{handoff.VERSION}"
    assert schema["properties"]["version"]["const"] == handoff.VERSION
    jsonschema.Draft202012Validator.check_schema(schema)
    made = kit.handoff(kit.build(call()), to="writer", claims=["It rains."], decisions=["Use euros."], remaining_budget=500)
    jsonschema.validate(json.loads(made.model_dump_json()), schema)
    for wrong in ({"version": 2}, {"mood": "good"}, {"facts": [{"text": ""}]}, {"remaining_budget": -1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**json.loads(made.model_dump_json()), **wrong}, schema)
