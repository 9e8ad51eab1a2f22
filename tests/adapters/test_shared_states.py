"""Paths as names of states: no two paths share one, and what is below a path is found, whatever stands in its parts."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contextkit.adapters.shared import states
from contextkit.errors import InputError

PARTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    ["", "/", "~", "%2F", "a/b", "\x00", "ä" * 300]
)
PATHS = st.lists(PARTS, min_size=1, max_size=4).map(tuple)


@given(PATHS, PATHS)
@settings(max_examples=300)
def test_different_paths_have_different_names(a, b):
    assert (states.name_of(a) == states.name_of(b)) == (a == b)
    assert len(states.name_of(a)) <= 512


@given(st.lists(PATHS, min_size=1, max_size=8, unique=True), PATHS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_below_a_path_is_found(kit, paths, prefix):
    root = ("test",)
    states.write(kit.memory, {(*root, *path): {"at": list(path)} for path in paths})
    try:
        found = {e.path: e.value for e in states.below(kit.memory, (*root, *prefix))}
        assert found == {(*root, *p): {"at": list(p)} for p in paths if p[: len(prefix)] == prefix and len(p) > len(prefix)}
        assert [states.read(kit.memory, (*root, *p)) for p in paths] == [{"at": list(p)} for p in paths]
    finally:
        states.write(kit.memory, dict.fromkeys((*root, *p) for p in paths))
    assert kit.memory.states("") == []


def test_a_long_value_is_kept_in_parts_and_its_old_parts_leave_with_it(kit):
    path = ("test", "long")
    for text in ('"\\' * 600_000, "ä" * 2_000_000, "short"):
        states.write(kit.memory, {path: {"text": text}})
        assert states.read(kit.memory, path) == {"text": text}
        assert [e.value for e in states.below(kit.memory, ("test",))] == [{"text": text}]
    assert [k.name for k in kit.memory.states("")] == ["test/long/"]
    states.write(kit.memory, {path: {"text": "x" * 1_000_000}})
    states.write(kit.memory, {path: None})
    assert kit.memory.states("") == []


@pytest.mark.parametrize("value", [{"a": {1, 2}}, {"a": float("nan")}, {"a": b"x"}, {"a": "\ud800"}, [object()]])
def test_what_json_cannot_hold_is_refused_and_nothing_is_written(kit, value):
    with pytest.raises(InputError):
        states.write(kit.memory, {("test", "good"): 1, ("test", "bad"): value})
    assert kit.memory.states("") == []


def test_appending_keeps_order_beside_other_writers(kit):
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda w: [states.append(kit.memory, ("list",), [[w, n], [w, n + 0.5]]) for n in range(5)], range(4)))
    values = [e.value for e in states.below(kit.memory, ("list",))]
    assert len(values) == 40
    for writer in range(4):
        own = [n for w, n in values if w == writer]
        assert own == sorted(own)
