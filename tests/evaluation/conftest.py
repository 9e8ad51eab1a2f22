"""Notes about devices with judged questions; an embedder whose cosines say little, so that words should count more than shipped."""

from __future__ import annotations

import json

import pytest

import contextkit as ck
from contextkit.evaluation.questions import Judged
from contextkit.testing import TinyEmbedder

_THINGS = ("pump", "valve", "sensor", "fan", "heater", "drive")
_PLACES = ("cellar", "roof", "kitchen", "yard", "garage", "attic", "lobby")


def _note(n):
    thing, place = _THINGS[n % 6], _PLACES[n % 7]
    return [
        f"The {thing} K{n:03d} stands in the {place} behind the door.",
        f"The {thing} K{n:03d} weighs {20 + n} kilograms with all of its parts.",
        "Its colour is grey, as with most devices of that year and kind.",
        f"The maker calls for service every {2 + n % 9} months without exception.",
        "Nobody has asked about noise or about smell for a long time now.",
        f"Spare parts of K{n:03d} are kept in box number {300 + n} on the upper shelf.",
    ]


def _document(n):
    return ck.Document(id=f"note-{n}", text="\n".join(_note(n)), title=f"Note {n}")


@pytest.fixture(scope="session")
def judged():
    """80 questions, two a note."""
    found = []
    for n in range(40):
        facts = _note(n)
        thing = _THINGS[n % 6]
        found.append(Judged(question=f"How heavy is the {thing} K{n:03d} with its parts?", gold=(facts[1],)))
        found.append(Judged(question=f"In which box are the spare parts of K{n:03d}?", gold=(facts[5],)))
    return found


@pytest.fixture(scope="session")
def poor_index(tmp_path_factory):
    """Folder of an index whose embedder's cosines are close to noise; tests copy it."""
    folder = tmp_path_factory.mktemp("poor") / "index"
    with ck.open(folder, embedder=TinyEmbedder(dimension=4)) as kit:
        kit.add([_document(n) for n in range(40)])
    return folder


@pytest.fixture
def folder(poor_index, tmp_path):
    """An own copy of that index."""
    import shutil

    return shutil.copytree(poor_index, tmp_path / "index")


@pytest.fixture
def kit(folder):
    """It, open."""
    with ck.open(folder, embedder=TinyEmbedder(dimension=4)) as found:
        yield found


@pytest.fixture
def asked_file(judged, tmp_path):
    """The judged questions as a file."""
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(one.model_dump(exclude_defaults=True)) + "\n" for one in judged), encoding="utf-8")
    return path
