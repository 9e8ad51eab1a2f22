"""What looks like a heading and is none is evidence; what is a heading comes with what stands below it."""

from __future__ import annotations

import pytest

import contextkit as ck
from contextkit.testing import TinyEmbedder

FACTS = [
    "Birgit Hansen, +45 33 12 44 90", "Room 214, second floor", "Blood group AB negative", "Allergic to penicillin",
    "Admitted 3 March 2021", "Discharged 9 March 2021", "Weight 71 kg, height 182 cm", "Emergency contact: Ole Hansen",
]  # fmt: skip


def packet(tmp_path, text, question, budget=100_000):
    (tmp_path / "sheet.md").write_text(text, "utf-8")
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.sync(tmp_path / "sheet.md")
        return kit.context(question, budget=budget)


@pytest.mark.parametrize("before", ["", "# Patient sheet\n\n"])
@pytest.mark.parametrize("mark", ["", "- "])
@pytest.mark.parametrize("number", [2, 3, 8])
def test_no_line_of_a_form_is_lost(tmp_path, before, mark, number):
    facts = FACTS[:number]
    text = packet(tmp_path, before + "\n\n".join(mark + fact for fact in facts) + "\n", "What is she allergic to?").text
    assert [fact for fact in facts if fact not in text] == []


def test_a_heading_comes_with_what_stands_below_it(tmp_path):
    text = "# House rules\n\nLeave\n\nFive days carry over until the end of March.\n\nTravel\n\nThe train is preferred."
    found = packet(tmp_path, text, "How many days carry over?", 40)
    assert "Leave\n\nFive days" in found.text


def test_a_very_long_title_leaves_room_for_the_text(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        kit.add([ck.Document(id="a", text="The kettle boils at noon.", title="kettle " * 30_000)])
        found = kit.context("When does the kettle boil?", budget=300)
    assert "The kettle boils at noon." in found.text
    assert len(found.citations[0].title) > 200_000


def test_the_row_asked_for_comes_before_a_lesser_one_with_its_header(tmp_path):
    rows = "".join(
        f"| PX-{n} | {n}.5 kW, three phases, with a housing of cast iron and a cable of {n} metres |\n" for n in (39, 40, 41)
    )
    rows = rows.replace(
        "| PX-39 | 39.5 kW, three phases, with a housing of cast iron and a cable of 39 metres |", "| PX-39 | 39 kW |"
    )
    text = f"# Pumps\n\n| Model | Power and other properties of the motor |\n| --- | --- |\n{rows}"
    assert "PX-40" in packet(tmp_path, text, "What is the power of PX-40?", 52).text
