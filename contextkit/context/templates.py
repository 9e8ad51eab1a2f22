"""Versioned prompt templates: Jinja2 in a sandbox, every variable declared by use, every version immutable.

A template is text with `{{ variables }}`. Storing one gives it the next version; a stored version never changes. Labels such as
`production` point at versions and move, forth and back. Rendering checks the variables before anything is sent.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from contextkit.errors import InputError

if TYPE_CHECKING:
    from jinja2.sandbox import SandboxedEnvironment

NAME = "templates.sqlite"
MOST_CHARACTERS = 200_000
"""Most characters of one variable's value, of a template, and of what it renders to."""
_MOST_STEPS = 10_000  # values that all loops of one rendering may take
_SCHEMA = """
CREATE TABLE IF NOT EXISTS templates (
    name TEXT NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL, created REAL NOT NULL DEFAULT (unixepoch()),
    source TEXT NOT NULL, PRIMARY KEY (name, version)
) STRICT;
CREATE TABLE IF NOT EXISTS labels (
    number INTEGER PRIMARY KEY, name TEXT NOT NULL, label TEXT NOT NULL, version INTEGER NOT NULL,
    moved REAL NOT NULL DEFAULT (unixepoch())
) STRICT;
CREATE TRIGGER IF NOT EXISTS immutable BEFORE UPDATE ON templates BEGIN SELECT RAISE(ABORT, 'a version is immutable'); END;
"""


class Prompt(BaseModel):
    """A rendered template: what `AgentCall.system` takes where the receipt is to name its origin.

    Attributes:
        text: as it is sent.
        name: of the template.
        version: of the template, from 1; 0 where it comes from a file.
        digest: SHA-256 of the template's source, shortened.
        label: by which it was asked for, or "".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str
    name: str = ""
    version: int = 0
    digest: str = ""
    label: str = ""

    @property
    def title(self) -> str:
        """Name, version, label and digest in one line, for the receipt."""
        version = f" version {self.version}" if self.version else ""
        return f"{self.name}{version}{f' ({self.label})' if self.label else ''} {self.digest}".strip()


class Template(BaseModel):
    """One version of a template.

    Attributes:
        name: names all its versions.
        source: the text with its variables.
        version: from 1; 0 for one that is not stored.
        digest: SHA-256 of the source, shortened.
        label: by which it was asked for, or "".
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    source: str
    version: int = 0
    digest: str = ""
    label: str = ""

    @classmethod
    def of(cls, name: str, source: str, version: int = 0, label: str = "") -> Template:
        """A template, its syntax checked. Raises InputError naming the line that is wrong."""
        if len(source) > MOST_CHARACTERS:
            raise InputError(f"template {name!r} has {len(source):,} characters: at most {MOST_CHARACTERS:,}")
        _parse(name, source)
        return cls(name=name, source=source, version=version, digest=_digest(source), label=label)

    @classmethod
    def from_file(cls, path: str | Path) -> Template:
        """The template in a file, named like it. Raises InputError where it cannot be read."""
        file = Path(path)
        try:
            return cls.of(file.stem, file.read_text("utf-8"))
        except (OSError, UnicodeError) as error:
            raise InputError(f"the template {str(file)!r} cannot be read: {error}") from error

    @property
    def variables(self) -> frozenset[str]:
        """The names that rendering needs."""
        from jinja2 import meta

        return frozenset(meta.find_undeclared_variables(_parse(self.name, self.source)))

    def render(self, variables: Mapping[str, object] | None = None) -> Prompt:
        """The prompt with these values.

        Raises:
            InputError: a variable is missing or is not in the template, a value is too long or not plain data, the template
                reaches for what it may not or takes too many steps.
        """
        given = dict(variables or {})
        missing, extra = self.variables - given.keys(), given.keys() - self.variables
        if missing:
            raise InputError(f"template {self.name!r} needs values for {', '.join(sorted(missing))}")
        if extra:
            raise InputError(f"template {self.name!r} does not use {', '.join(sorted(extra))}: it uses {sorted(self.variables)}")
        for name, value in given.items():
            _check_value(self.name, name, value)
        return Prompt(
            text=_rendered(self.name, self.source, given),
            name=self.name,
            version=self.version,
            digest=self.digest,
            label=self.label,
        )


class TemplateStore:
    """Templates in one SQLite file. Safe from any thread and beside other processes.

    Args:
        folder: where the file lies.
    """

    def __init__(self, folder: str | Path) -> None:
        self._path = Path(folder) / NAME
        self._lock = threading.Lock()
        with self._lock, self._open() as c:
            c.executescript(_SCHEMA)

    def put(self, name: str, source: str, *, label: str = "") -> Template:
        """Stores the next version, or finds the last one where the source is the same; `label`, where given, is moved to it.

        Raises:
            InputError: an empty name, or a source that is no template.
        """
        if not name.strip():
            raise InputError(f"a template needs a name, not {name!r}")
        made = Template.of(name, source)
        with self._lock, self._open() as c:
            c.execute("BEGIN IMMEDIATE")
            query = "SELECT version, digest FROM templates WHERE name = ? ORDER BY version DESC LIMIT 1"
            last = c.execute(query, (name,)).fetchone()
            version = last[0] if last and last[1] == made.digest else (last[0] if last else 0) + 1
            if not last or last[1] != made.digest:
                c.execute(
                    "INSERT INTO templates (name, version, digest, source) VALUES (?, ?, ?, ?)",
                    (name, version, made.digest, source),
                )
            if label:
                c.execute("INSERT INTO labels (name, label, version) VALUES (?, ?, ?)", (name, label, version))
        return made.model_copy(update={"version": version, "label": label})

    def get(self, name: str, version: int | str | None = None) -> Template:
        """A template by its version or label; None: the last version.

        Raises:
            InputError: there is none.
        """
        number, label = version, ""
        with self._lock, self._open() as c:
            if isinstance(version, str):
                label = version
                found = c.execute(
                    "SELECT version FROM labels WHERE name = ? AND label = ? ORDER BY number DESC LIMIT 1", (name, version)
                ).fetchone()
                number = found[0] if found else -1
            if number is None:
                row = c.execute(
                    "SELECT version, source FROM templates WHERE name = ? ORDER BY version DESC LIMIT 1", (name,)
                ).fetchone()
            else:
                row = c.execute("SELECT version, source FROM templates WHERE name = ? AND version = ?", (name, number)).fetchone()
        if row is None:
            known = ", ".join(self.names()) or "none"
            what = "" if version is None else f" with the label {version!r}" if label else f" of version {version}"
            raise InputError(f"no template {name!r}{what} in {self._path}: there are {known}")
        return Template.of(name, row[1], row[0], label)

    def label(self, name: str, label: str, version: int) -> None:
        """Points a label at a version. Raises InputError where there is no such version."""
        self.get(name, version)
        with self._lock, self._open() as c:
            c.execute("INSERT INTO labels (name, label, version) VALUES (?, ?, ?)", (name, label, version))

    def rollback(self, name: str, label: str) -> Template:
        """Moves a label back to the version at which it pointed before. Raises InputError where it pointed at none."""
        with self._lock, self._open() as c:
            rows = c.execute(
                "SELECT number, version FROM labels WHERE name = ? AND label = ? ORDER BY number DESC LIMIT 2", (name, label)
            ).fetchall()
            if len(rows) < 2:
                raise InputError(f"the label {label!r} of the template {name!r} never pointed elsewhere: nothing to go back to")
            c.execute("DELETE FROM labels WHERE number = ?", (rows[0][0],))
        return self.get(name, label)

    def names(self) -> list[str]:
        """The names of all templates, sorted."""
        with self._lock, self._open() as c:
            return [name for (name,) in c.execute("SELECT DISTINCT name FROM templates ORDER BY name")]

    def _open(self) -> _Closing:
        connection = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        return _Closing(connection)


class _Closing:
    """A connection for one block: committed, or rolled back, and closed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> sqlite3.Connection:
        return self._connection

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if self._connection.in_transaction:
            self._connection.execute("COMMIT" if kind is None else "ROLLBACK")
        self._connection.close()


def _digest(source: str) -> str:
    return hashlib.sha256(source.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _environment() -> SandboxedEnvironment:
    from jinja2 import StrictUndefined
    from jinja2.exceptions import SecurityError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Plain(ImmutableSandboxedEnvironment):
        """No attributes but those of plain data, no calls but those of loops."""

        intercepted_binops = frozenset({"**", "*", "+", "%"})

        def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:  # noqa: ANN401 - as Jinja2 has it
            return isinstance(obj, (dict, str)) and super().is_safe_attribute(obj, attr, value)

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:  # noqa: ANN401 - as Jinja2 has it
            if not all(isinstance(side, (int, float)) and abs(side) < 1e9 for side in (left, right)) or operator == "**":
                raise SecurityError(f"{operator} of {type(left).__name__} and {type(right).__name__} is not for templates")
            return super().call_binop(context, operator, left, right)

    made = Plain(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True)
    made.globals.clear()
    for unsafe in ("attr", "map", "format", "pprint", "random", "center", "indent", "xmlattr", "replace", "wordwrap"):
        made.filters.pop(unsafe, None)
    return made


def _parse(name: str, source: str) -> Any:  # noqa: ANN401 - Jinja2's own tree
    from jinja2 import TemplateError, TemplateSyntaxError, nodes

    try:
        tree = _environment().parse(source)
        _environment().compile(tree)
    except TemplateSyntaxError as error:
        raise InputError(f"template {name!r}, line {error.lineno}: {error.message}") from error
    except TemplateError as error:
        raise InputError(f"template {name!r}: {error}") from error
    for kind in _refused_nodes():
        found = tree.find(kind)
        if found is not None:
            raise InputError(
                f"template {name!r}, line {found.lineno}: {kind.__name__.lower()} is not for prompts: one template, one text"
            )
    for loop in tree.find_all(nodes.For):
        if loop.recursive:
            raise InputError(f"template {name!r}, line {loop.lineno}: a recursive loop is not for prompts")
    return tree


def _refused_nodes() -> tuple[Any, ...]:
    """What a prompt does not need and what could make it endless, or its text grow without bound."""
    from jinja2 import nodes as n

    return (
        n.Include, n.Import, n.FromImport, n.Extends, n.Macro, n.CallBlock, n.Block, n.Assign, n.AssignBlock, n.FilterBlock,
        n.Concat,
    )  # fmt: skip


def _check_value(template: str, name: str, value: object, depth: int = 0) -> None:
    label = f"template {template!r}: the value of {name!r}"
    if depth > 8:
        raise InputError(f"{label} is nested deeper than 8 levels")
    if isinstance(value, str):
        if len(value) > MOST_CHARACTERS:
            raise InputError(f"{label} has {len(value):,} characters: at most {MOST_CHARACTERS:,}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            _check_value(template, f"{name}.{key}", item, depth + 1)
    elif isinstance(value, (list, tuple)):
        if len(value) > _MOST_STEPS:
            raise InputError(f"{label} has {len(value):,} items: at most {_MOST_STEPS:,}")
        for n, item in enumerate(value):
            _check_value(template, f"{name}[{n}]", item, depth + 1)
    elif value is not None and not isinstance(value, (int, float, bool)):
        raise InputError(f"{label} is a {type(value).__name__}: give texts, numbers, lists or mappings")


def _rendered(name: str, source: str, values: dict[str, object]) -> str:
    from jinja2 import TemplateError, nodes

    parts: list[str] = []
    size = 0
    left = _MOST_STEPS

    def counted(items: Iterable[object]) -> Iterator[object]:
        nonlocal left
        for item in items:
            left -= 1
            if left < 0:
                raise InputError(f"template {name!r}: its loops take more than {_MOST_STEPS:,} steps")
            yield item

    environment = _environment()
    environment.filters["counted"] = counted
    tree = environment.parse(source)
    for loop in tree.find_all(nodes.For):
        loop.iter = nodes.Filter(loop.iter, "counted", [], [], None, None, lineno=loop.lineno)
    tree.set_environment(environment)
    try:
        for part in environment.from_string(tree).generate(values):
            size += len(part)
            parts.append(part)
            if size > MOST_CHARACTERS or len(parts) > _MOST_STEPS:
                raise InputError(f"template {name!r} gives more than {MOST_CHARACTERS:,} characters or {_MOST_STEPS:,} pieces")
    except TemplateError as error:
        raise InputError(f"template {name!r}: {error}") from error
    except (TypeError, ValueError, ArithmeticError, LookupError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"template {name!r}: {type(error).__name__}: {error}") from error
    return "".join(parts)
