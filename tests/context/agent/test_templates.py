"""Prompt templates: immutable versions, labels that move, and no way out of the sandbox."""

from __future__ import annotations

import sqlite3

import pytest

import contextkit as ck
from contextkit.context.templates import MOST_CHARACTERS, NAME, Template, TemplateStore

SOURCE = "You help {{ team }}.\n{% for rule in rules %}\n- {{ rule }}\n{% endfor %}"


def test_a_version_is_immutable_and_a_label_moves(tmp_path):
    store = TemplateStore(tmp_path)
    first = store.put("helper", "You help {{ team }}.", label="production")
    assert (first.version, store.put("helper", "You help {{ team }}.").version) == (1, 1)
    second = store.put("helper", SOURCE)
    assert second.version == 2
    assert store.get("helper").version == 2
    assert store.get("helper", "production").version == 1
    store.label("helper", "production", 2)
    assert store.get("helper", "production") == second.model_copy(update={"label": "production"})
    assert store.rollback("helper", "production").version == 1
    assert TemplateStore(tmp_path).get("helper", 1).source == "You help {{ team }}."
    with pytest.raises(ck.InputError, match="nothing to go back to"):
        store.rollback("helper", "production")
    with sqlite3.connect(tmp_path / NAME) as c, pytest.raises(sqlite3.IntegrityError, match="immutable"):
        c.execute("UPDATE templates SET source = 'x'")
    c.close()
    for missing in ("other", ("helper", 9), ("helper", "staging")):
        with pytest.raises(ck.InputError, match="no template"):
            store.get(*([missing] if isinstance(missing, str) else missing))


def test_rendering_and_the_receipt(kit):
    template = Template.of("helper", SOURCE)
    assert template.variables == {"team", "rules"}
    prompt = template.render({"team": "Blue", "rules": ["be brief", "be exact"]})
    assert prompt.text == "You help Blue.\n- be brief\n- be exact\n"
    packet = kit.build(ck.AgentCall(question="What is note 3?", model="gpt-4o", budget=2000, system=prompt))
    assert packet.messages()[0]["content"] == prompt.text
    assert packet.receipt.template == f"helper {template.digest}"
    assert len(template.digest) == 16


def test_a_file(tmp_path):
    (tmp_path / "helper.j2").write_text("You help {{ team }}.")
    assert Template.from_file(tmp_path / "helper.j2").render({"team": "Blue"}).name == "helper"
    with pytest.raises(ck.InputError, match="cannot be read"):
        Template.from_file(tmp_path / "none.j2")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"team": "x"}, "needs values for rules"),
        ({"team": "x", "rules": [], "mood": "y"}, "does not use mood"),
        ({"team": "x" * (MOST_CHARACTERS + 1), "rules": []}, "'team' has 200,001 characters"),
        ({"team": object(), "rules": []}, "'team' is a object"),
        ({"team": "x", "rules": ["y", object]}, r"'rules\[1\]' is a type"),
        ({"team": "x", "rules": list(range(10_001))}, "10,001 items"),
        ({"team": "x", "rules": ["y" * 150_000] * 2}, "more than 200,000 characters"),
        ({"team": "x", "rules": 3}, "not iterable"),
    ],
)
def test_wrong_values_are_errors_before_the_call(values, words):
    with pytest.raises(ck.InputError, match=words):
        Template.of("helper", SOURCE).render(values)


@pytest.mark.parametrize(
    "source",
    [
        "{{ x.__class__ }}",
        "{{ x['__class__'] }}",
        "{{ ''.__class__.__mro__ }}",
        "{{ x|attr('__class__') }}",
        "{{ x.format(y=1) }}{{ '{0.__class__}'.format(x) }}",
        "{% for i in range(10**9) %}{{ x }}{% endfor %}",
        "{% for i in x * 1000000 %}a{% endfor %}",
        "{{ 9 ** 9 ** 9 }}{{ x }}",
        "{% include 'other' %}{{ x }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}{{ x }}",
        "{% for i in x recursive %}{{ loop(x) }}{% endfor %}",
        "{{ self }}{{ x.upper.__func__ }}",
        "{% for a in x %}" * 6 + "{% endfor %}" * 6,
        "{% set y = x ~ x %}{{ y }}",
        "{{ x + x }}",
        "{{ x * 3 }}",
        "{{ x ~ x }}",
        "{{ x|replace('v', x) }}",
        "{{ x",
        "{% if x %}",
        "{{ lipsum.__globals__ }}{{ x }}",
        "{{ cycler.__init__ }}{{ x }}",
    ],
)
def test_no_way_out(source):
    with pytest.raises(ck.InputError):
        Template.of("bad", source).render({"x": "value"})
