"""What the documentation shows is run: Python blocks, and the commands of bash blocks, file by file from a copy of the checkout.

A block after a line `<!-- not run: REASON -->` is left out.
"""

from __future__ import annotations

import re
import shlex
import shutil
from dataclasses import dataclass

import pytest
from package_source import ROOT

from contextkit.cli.app import app, run
from contextkit.config import PREFIX, Settings

PAGES = [p for p in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if p.exists()]
BLOCK = re.compile(
    r"^(?P<mark><!-- not run: [^\n]+ -->\n+)?```(?P<language>python|bash)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    line: int


def blocks(page):
    text = page.read_text("utf-8")
    for match in BLOCK.finditer(text):
        if not match["mark"]:
            yield Block(match["language"], match["code"], text.count("\n", 0, match.start("code")) + 1)


def commands(code):
    """The `contextkit ...` lines of a bash block; a backslash at the end joins lines, a leading `$ ` is a prompt."""
    for line in code.replace("\\\n", " ").splitlines():
        line = line.strip().removeprefix("$ ")
        if line.startswith("contextkit "):
            yield line


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder with the documents that the pages speak of, as the current one."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "README.md", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_the_blocks_of_a_page_run(page, checkout, capsys):
    namespace: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.code, str(page), "exec"), namespace)
        else:
            for command in commands(block.code):
                code = run(shlex.split(command, comments=True)[1:])
                assert code == 0, f"{page.name}:{block.line}: {command!r} exits with {code}: {capsys.readouterr().err}"


def verbs(group=None, prefix=""):
    """Every verb's full name, from the program itself."""
    import typer

    for name, command in (group or typer.main.get_command(app)).commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, f"{prefix}{name} ")
        else:
            yield f"{prefix}{name}", command


@pytest.mark.parametrize("verb", [name for name, _ in verbs()])
def test_every_verb_is_documented(verb):
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    assert re.search(rf"^### `contextkit {verb}\b", page, re.MULTILINE), f"docs/cli.md has no section for {verb}"
    assert re.search(rf"^contextkit {verb}\b", page, re.MULTILINE), f"docs/cli.md has no example for {verb}"
    assert re.search(rf"\b{verb}\b", (ROOT / "README.md").read_text("utf-8")), f"README.md does not mention {verb}"


@pytest.mark.parametrize(("verb", "command"), list(verbs()), ids=[name for name, _ in verbs()])
def test_every_option_has_help(verb, command):
    assert command.help
    assert [p.name for p in command.params if not getattr(p, "help", None)] == []


def test_the_page_names_no_verb_or_option_that_is_not_there():
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    known = dict(verbs())
    assert {v.strip() for v in re.findall(r"^### `contextkit ([a-z ]+)", page, re.MULTILINE)} == set(known)
    options = {opt for command in known.values() for p in command.params for opt in p.opts} | {"--help", "-h", "--version"}
    options |= {"--install-completion", "--show-completion"}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", page)) <= options


def test_the_table_of_settings_is_true():
    page = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, ()) else f"`{field.default}`"
        assert f"| `{name}` | `{PREFIX}{name.upper()}` | {default} | {field.description} |" in page


def test_defaults_named_in_help_are_those_of_the_settings():
    known = dict(verbs())
    named = {"search": {"k": "10"}, "context": {"budget": "1024", "format": "text", "index": ".contextkit/index"}}
    for verb, options in named.items():
        for option in known[verb].params:
            if option.name in options:
                assert options[option.name] == str(Settings.model_fields[option.name].default)
                assert options[option.name] in option.help


def test_links_between_pages_lead_somewhere():
    broken = [
        f"{page.name}: {target}"
        for page in (*PAGES, ROOT / "CONTRIBUTING.md")
        for target in re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", page.read_text("utf-8"))
        if not (page.parent / target).exists()
    ]
    assert broken == []
