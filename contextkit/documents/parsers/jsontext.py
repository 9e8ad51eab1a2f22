"""JSON and JSON lines: records as "path: value" lines, lists of like records as tables, chat messages as turns.

A record by itself (settings, a description of one thing) is a list, each line a unit of its own. One of many is a paragraph, as
its values mean little without the others; where it has many fields, it is a list under its name as a heading.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from contextkit.documents.building import Builder, Source, iso_date, one_line
from contextkit.errors import ParseError
from contextkit.types import JSON, BlockKind, Document

_DEPTH = 60
_WIDE = 12
_LONG = 120
_TITLE = ("title", "name", "subject", "headline")
_WHO = ("role", "speaker", "author", "from")
_WHAT = ("content", "text", "message", "body")
_WHEN = ("timestamp", "time", "datetime", "date", "ts", "created_at", "created", "sent_at", "sent")
_OF_MESSAGE = frozenset({*_WHO, *_WHAT, *_WHEN, "id", "index", "message_id", "parent_id", "conversation_id", "thread_id", "type"})
"""The fields of a chat message. Who, when and what are shown, the rest are keys of the log."""


def read(source: Source) -> Document:
    """The values in their order; the title is that of a single top record.

    Lines of JSON lines that are none (a log that was cut off) are left out; their numbers are `unreadable_lines` in the metadata.
    Raises ParseError where it is not JSON, and for JSON lines where more than half of them are none.
    """
    text = source.text()
    builder = Builder()
    if source.media_type == "application/x-ndjson":
        records, unreadable = _lines(text, source.blob.name or source.blob.id)
        builder.metadata["unreadable_lines"] = unreadable
        _add_records(builder, records, 1)
    else:
        try:
            value = json.loads(text)
        except ValueError as error:
            raise ParseError(f"{source.blob.name or source.blob.id!r} is not valid JSON: {error}") from error
        if isinstance(value, dict):
            _facts(builder, value)
        _add(builder, value, 1)
    return builder.build(source)


def _lines(text: str, name: str) -> tuple[list[JSON], list[JSON]]:
    """The values of the lines, and the numbers (from 1) of lines that hold none."""
    out: list[JSON] = []
    unreadable: list[JSON] = []
    first = ""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                out.append(json.loads(line))
            except ValueError as error:
                first = first or f"line {number} is not valid JSON: {error}"
                unreadable.append(number)
    if len(unreadable) > len(out):
        raise ParseError(f"{name!r}: {first}; {len(unreadable):,} of {len(out) + len(unreadable):,} lines are not")
    return out, unreadable


def _facts(builder: Builder, value: Mapping[str, JSON]) -> None:
    title = next((v for k in _TITLE if isinstance(v := value.get(k), str) and 0 < len(v) < 300), "")
    builder.title = title
    author = value.get("author")
    builder.metadata["author"] = author if isinstance(author, str) else ""
    for name, keys in (
        ("created", ("created", "created_at", "date", "published")),
        ("modified", ("modified", "updated", "updated_at")),
    ):
        builder.metadata[name] = next((d for k in keys if (d := iso_date(value.get(k)))), "")
    language = value.get("language") or value.get("lang")
    builder.language = language if isinstance(language, str) and len(language) < 12 else ""


def _add(builder: Builder, value: JSON, level: int) -> None:
    if isinstance(value, Mapping):
        _add_record(builder, value, level)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        _add_records(builder, value, level)
    else:
        builder.paragraph(_scalar(value))


def _add_record(builder: Builder, record: Mapping[str, JSON], level: int, *, among: bool = False) -> None:
    """Simple values as lines, values with structure under headings of their names; `among` others it is one paragraph."""
    lines: list[str] = []
    for key, value in record.items():
        if _simple(value) or level > 5:
            lines.extend(f"{path}: {text}" for path, text in _flat(value, str(key), 0) if text)
        else:
            _flush(builder, lines, together=among)
            builder.heading(str(key), level)
            _add(builder, value, level + 1)
    _flush(builder, lines, together=among)


def _add_wide(builder: Builder, record: Mapping[str, JSON], level: int) -> None:
    """One of many records, of more fields than are read as one: under what it is called, which goes with each of its lines."""
    name = next((k for k in (*_TITLE, "id", "key") if record.get(k)), next(iter(record)))
    builder.heading(f"{name}: {_scalar(record[name])}" if _is_scalar(record[name]) else name, level)
    _add_record(builder, {k: v for k, v in record.items() if k != name or not _is_scalar(v)}, level)


def _flush(builder: Builder, lines: list[str], *, together: bool) -> None:
    if together:
        builder.paragraph("\n".join(lines))
    else:
        for line in lines:
            builder.item(line, mark="")
    lines.clear()


def _add_records(builder: Builder, records: Sequence[JSON], level: int) -> None:
    if all(_simple(r) and not isinstance(r, Mapping) for r in records):
        for record in records:
            builder.item(" ".join(text for _, text in _flat(record, "", 0)))
    elif _are_messages(records):
        for record in records:
            assert isinstance(record, Mapping)
            who = one_line(str(next(record[k] for k in _WHO if record.get(k))))
            when = next((iso_date(record[k]) or one_line(str(record[k]))[:30] for k in _WHEN if record.get(k)), "")
            builder.add(BlockKind.TURN, f"{f'[{when}] ' if when else ''}{who}: {one_line(_message(record))}")
    elif _is_tabular(records):
        names = list(dict.fromkeys(str(k) for r in records if isinstance(r, Mapping) for k in r))
        builder.table([names, *([_scalar(r.get(n)) for n in names] for r in records if isinstance(r, Mapping))])
    else:
        for record in records:
            if isinstance(record, Mapping) and len(record) > _WIDE and all(_simple(v) for v in record.values()):
                _add_wide(builder, record, level)
            elif isinstance(record, Mapping):
                _add_record(builder, record, level, among=len(records) > 1)
            else:
                _add(builder, record, level)


def _are_messages(records: Sequence[JSON]) -> bool:
    """Whether all are messages of a chat, and nothing else is said in them: what has a rating or a title is a record."""
    return len(records) > 1 and all(
        isinstance(r, Mapping)
        and any(isinstance(r.get(k), str) for k in _WHO)
        and _message(r)
        and all(k in _OF_MESSAGE or v in (None, "", [], {}) for k, v in r.items())
        for r in records
    )


def _message(record: Mapping[str, JSON]) -> str:
    value = next((record[k] for k in _WHAT if record.get(k)), "")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " ".join(str(p["text"]) for p in value if isinstance(p, Mapping) and isinstance(p.get("text"), str))
    return value if isinstance(value, str) else ""


def _is_tabular(records: Sequence[JSON]) -> bool:
    """Whether records are flat, alike, and short enough for rows."""
    if len(records) < 2 or not all(isinstance(r, Mapping) and all(_is_scalar(v) for v in r.values()) for r in records):
        return False
    names = {k for r in records if isinstance(r, Mapping) for k in r}
    longest = max((len(str(v)) for r in records if isinstance(r, Mapping) for v in r.values()), default=0)
    return 0 < len(names) <= _WIDE and longest <= _LONG


def _is_scalar(value: JSON) -> bool:
    return value is None or isinstance(value, (str, int, float, bool))


def _simple(value: JSON) -> bool:
    """Whether a value is a scalar, or a short list or record of scalars."""
    if _is_scalar(value):
        return True
    inner = list(value.values()) if isinstance(value, Mapping) else value
    return isinstance(inner, Sequence) and len(inner) <= 8 and all(_is_scalar(v) and len(str(v)) <= _LONG for v in inner)


def _flat(value: JSON, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if _is_scalar(value):
        yield path, _scalar(value)
    elif depth > _DEPTH:
        yield path, one_line(json.dumps(value, ensure_ascii=False))
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, Sequence):
        if all(_is_scalar(v) for v in value):
            yield path, ", ".join(_scalar(v) for v in value)
        else:
            for number, inner in enumerate(value):
                yield from _flat(inner, f"{path}[{number}]", depth + 1)


def _scalar(value: JSON) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
