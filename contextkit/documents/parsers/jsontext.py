"""JSON and JSON lines: records as "path: value" lines, lists of like records as tables, chat messages as turns."""

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


def read(source: Source) -> Document:
    """The values in their order; the title is that of a single top record. Raises ParseError where it is not JSON."""
    text = source.text()
    builder = Builder()
    if source.media_type == "application/x-ndjson":
        records = _lines(text, source.blob.name or source.blob.id)
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


def _lines(text: str, name: str) -> list[JSON]:
    out: list[JSON] = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                out.append(json.loads(line))
            except ValueError as error:
                raise ParseError(f"{name!r}: line {number} is not valid JSON: {error}") from error
    return out


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


def _add_record(builder: Builder, record: Mapping[str, JSON], level: int) -> None:
    """Simple values as lines of one paragraph; values with structure under headings of their names."""
    lines: list[str] = []
    for key, value in record.items():
        if _simple(value) or level > 5:
            lines.extend(f"{path}: {text}" for path, text in _flat(value, str(key), 0) if text)
        else:
            _flush(builder, lines)
            builder.heading(str(key), level)
            _add(builder, value, level + 1)
    _flush(builder, lines)


def _flush(builder: Builder, lines: list[str]) -> None:
    builder.paragraph("\n".join(lines))
    lines.clear()


def _add_records(builder: Builder, records: Sequence[JSON], level: int) -> None:
    if all(_simple(r) and not isinstance(r, Mapping) for r in records):
        for record in records:
            builder.item(" ".join(text for _, text in _flat(record, "", 0)))
    elif _are_messages(records):
        for record in records:
            assert isinstance(record, Mapping)
            who = record.get("role") or record.get("speaker") or record.get("author") or record.get("from")
            builder.add(BlockKind.TURN, f"{one_line(str(who))}: {one_line(_message(record))}")
    elif _is_tabular(records):
        names = list(dict.fromkeys(str(k) for r in records if isinstance(r, Mapping) for k in r))
        builder.table([names, *([_scalar(r.get(n)) for n in names] for r in records if isinstance(r, Mapping))])
    else:
        for record in records:
            _add(builder, record, level)


def _are_messages(records: Sequence[JSON]) -> bool:
    return len(records) > 1 and all(
        isinstance(r, Mapping) and any(isinstance(r.get(k), str) for k in ("role", "speaker", "author", "from")) and _message(r)
        for r in records
    )


def _message(record: Mapping[str, JSON]) -> str:
    value = next((record[k] for k in ("content", "text", "message", "body") if record.get(k)), "")
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
