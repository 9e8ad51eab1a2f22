"""JSON: what is a record, what a chat, and what becomes of a damaged line."""

from __future__ import annotations

import json

import pytest

from contextkit.documents import parse
from contextkit.documents.chunking import StructureChunker
from contextkit.errors import ParseError
from contextkit.types import JSON, Blob, BlockKind, Document


def read(value: JSON, name: str = "x.json") -> Document:
    return parse(Blob("i", name=name, data=json.dumps(value, ensure_ascii=False).encode()))


def units(document: Document) -> list[str]:
    chunks = StructureChunker(lambda texts: [len(t.split()) for t in texts]).chunk(document)
    return [document.text[s.start : s.end] for c in chunks for s in c.sentences]


def kinds(document: Document) -> set[BlockKind]:
    return {b.kind for b in document.blocks}


def test_records_with_an_author_and_content_keep_their_other_fields() -> None:
    reviews: list[JSON] = [
        {"title": "Pump K-40", "author": "Ann", "date": "2024-05-01", "rating": 2, "content": "It leaks after a month."},
        {"title": "Pump K-60", "author": "Bob", "date": "2024-06-11", "rating": 5, "content": "Runs quietly."},
    ]
    assert units(read(reviews))[1:] == [
        "| Pump K-40 | Ann | 2024-05-01 | 2 | It leaks after a month. |",
        "| Pump K-60 | Bob | 2024-06-11 | 5 | Runs quietly. |",
    ]
    lines = "\n".join(json.dumps(r) for r in reviews)
    assert "| Pump K-40 | Ann |" in parse(Blob("i", name="x.jsonl", data=lines.encode())).text


def test_messages_are_turns_and_say_when() -> None:
    chat: list[JSON] = [
        {"role": "user", "content": "Hi there", "tool_calls": None},
        {"role": "assistant", "content": [{"type": "text", "text": "Hello"}], "id": "m2"},
    ]
    document = read(chat)
    assert kinds(document) == {BlockKind.TURN}
    assert document.text == "user: Hi there\nassistant: Hello"
    log: list[JSON] = [
        {"author": "Ann", "timestamp": "2024-05-01T10:00:00Z", "text": "Back\nsoon"},
        {"author": "Bo", "text": "Fine"},
    ]
    assert read(log).text == "[2024-05-01T10:00:00+00:00] Ann: Back soon\nBo: Fine"


def test_the_lines_of_a_single_record_are_units() -> None:
    host: JSON = {
        "host": "db-17",
        "owner": "Team Delta",
        "ip": "10.20.4.17",
        "disks": ["a", "b"],
        "alerts": {"port": 9100, "rules": [{"a": [1, {}]}]},
    }
    document = read(host)
    assert document.text.startswith("host: db-17\nowner: Team Delta\nip: 10.20.4.17\ndisks: a, b\n\nalerts\n\nport: 9100")
    assert units(document)[:6] == ["host: db-17", "owner: Team Delta", "ip: 10.20.4.17", "disks: a, b", "alerts", "port: 9100"]


def test_one_record_of_many_stays_together() -> None:
    tickets: list[JSON] = [{"id": f"NB-{n}", "owner": "Ann", "message": "long words " * 20} for n in (1, 2)]
    document = read(tickets)
    assert [document.text[b.start : b.end][:16] for b in document.blocks] == ["id: NB-1\nowner: ", "id: NB-2\nowner: "]
    assert kinds(document) == {BlockKind.PARAGRAPH}


def test_one_wide_record_of_many_is_a_list_under_its_name() -> None:
    hosts: list[JSON] = [{**{f"field {i}": i for i in range(12)}, "name": f"db-{n}", "tags": ["a", n]} for n in (16, 17)]
    document = read(hosts, "hosts.json")
    assert [document.text[b.start : b.end] for b in document.blocks if b.kind is BlockKind.HEADING] == [
        "name: db-16",
        "name: db-17",
    ]
    assert units(document)[14:17] == ["name: db-17", "field 0: 0", "field 1: 1"]
    assert units(document)[-1] == "tags: a, 17"
    chunks = StructureChunker(lambda texts: [len(t.split()) for t in texts], target=24).chunk(document)
    assert {c.header for c in chunks if "name:" not in c.text} == {"hosts.json > name: db-16", "hosts.json > name: db-17"}
    unnamed: list[JSON] = [{f"field {i}": i for i in range(13)}, {"field 0": [1, 2], **{f"more {i}": i for i in range(13)}}]
    assert read(unnamed).text.startswith("field 0: 0\n\nfield 1: 1\nfield 2: 2\n")
    assert "field 0\n\nfield 0: 1, 2\nmore 0: 0" in read(unnamed).text


def test_a_line_that_was_cut_off_leaves_the_others() -> None:
    data = b'{"a": 1, "city": "Oslo"}\n\n{"a": 2, "city": "Porto"}\n{"a": 3, "ci'
    document = parse(Blob("i", name="x.jsonl", data=data))
    assert document.text == "| a | city |\n|---|---|\n| 1 | Oslo |\n| 2 | Porto |"
    assert document.metadata == {"unreadable_lines": [4]}
    assert "unreadable_lines" not in parse(Blob("i", name="x.jsonl", data=data[: data.rindex(b"\n")])).metadata


def test_lines_that_are_mostly_no_json_are_refused() -> None:
    with pytest.raises(ParseError, match=r"'x\.jsonl': line 2 is not valid JSON: .*; 2 of 3 lines are not"):
        parse(Blob("i", name="x.jsonl", media_type="application/x-ndjson", data=b'{"a": 1}\n{"a"\n{"b"'))
