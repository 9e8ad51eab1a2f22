"""The package as a user gets it: its names, its start-up, its dependencies, and what is in the wheel."""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import packages_distributions, requires

import pytest
from package_source import ROOT, imports, module_name, sources
from packaging.requirements import Requirement

import contextkit

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def test_public_names_are_few_sorted_and_documented():
    names = contextkit.__all__
    assert list(names) == sorted(names)
    assert len(names) == len(set(names)) <= 30
    for name in names:
        assert inspect.getdoc(getattr(contextkit, name)), f"contextkit.{name} has no docstring"
    assert set(names) <= set(dir(contextkit))
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = contextkit.no_such_name


def test_every_module_with_an_all_means_it():
    for name in sources():
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            assert hasattr(module, public), f"{name}.__all__ names {public!r}, which is not there"


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        (
            "contextkit",
            {"torch", "faiss", "transformers", "unstructured", "numpy", "pydantic", "rich", "typer", "sqlite3", "contextkit.kit"},
        ),
        ("contextkit.errors", {"numpy", "pydantic"}),
        ("contextkit.types", {"numpy", "pydantic"}),
        ("contextkit.cli", {"typer", "rich", "pydantic", "numpy"}),
        (
            "contextkit.kit",
            {"torch", "faiss", "transformers", "sentence_transformers", "unstructured", "spacy", "rich", "typer", "tiktoken"},
        ),
    ],
)
def test_importing_loads_nothing_heavy(module, absent):
    code = f"import sys, {module}; print(sorted(set({sorted(absent)!r}) & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


def test_importing_is_quick():
    code = "import time; t = time.process_time(); import contextkit; print(time.process_time() - t)"
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60) for _ in range(5)
    ]
    assert min(float(run.stdout) for run in runs) < 0.2


def test_importing_leaves_environment_and_logging_alone():
    code = (
        "import logging, os; before = dict(os.environ), logging.root.handlers[:], logging.root.level\n"
        "import contextkit.kit, contextkit.cli.app, contextkit.embedding.local, contextkit.tokens\n"
        "assert before == (dict(os.environ), logging.root.handlers, logging.root.level)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_what_is_imported_is_declared():
    """Each foreign package is a dependency, or one that a dependency itself asks for."""
    declared = {normal(Requirement(line).name) for line in PROJECT["project"]["dependencies"]}
    direct = {
        normal(need.name)
        for name in declared
        for need in map(Requirement, requires(name) or ())
        if need.marker is None or need.marker.evaluate({"extra": ""})
    }
    extras = {normal(Requirement(line).name) for lines in PROJECT["project"]["optional-dependencies"].values() for line in lines}
    owners = packages_distributions()
    missing = set()
    for i in imports():
        top = i.imported.split(".")[0]
        if top in sys.stdlib_module_names or top == "contextkit" or i.typing:
            continue
        found = {normal(d) for d in owners.get(top, [])}
        optional = extras if i.lazy or i.importer.startswith("contextkit.adapters.") else set()  # an adapter imports its peer
        if not found & (declared | direct | optional):
            missing.add((top, i.importer))
    assert missing == set()


def test_constraints_pin_every_dependency():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pins = {normal(line.partition("==")[0]) for line in lines if "==" in line and not line.startswith("#")}
    assert all("==" in line or line.startswith("#") for line in lines if line.strip())
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["dev"]]
    unpinned = {normal(Requirement(line).name) for line in wanted} - pins - {"setuptools", "contextkit"}
    assert unpinned == set()
    assert "torch==2.13.0" in lines


def test_entry_points_lead_to_something():
    for group in PROJECT["project"]["entry-points"].values():
        for target in group.values():
            module, _, name = target.partition(":")
            assert hasattr(importlib.import_module(module), name), target


def test_the_two_links_lead_to_the_top_folders():
    for name in ("connectors", "indexes"):
        link = ROOT / "contextkit" / name
        assert link.is_symlink()
        assert str(link.readlink()) == f"../{name}"


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A wheel built from an sdist built from a copy of the checkout, and both archives' names."""
    work = tmp_path_factory.mktemp("build")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("contextkit", "connectors", "indexes"):
        shutil.copytree(ROOT / name, work / "tree" / name, symlinks=True, ignore=ignore)
    for name in ("pyproject.toml", "MANIFEST.in", "LICENSE", "README.md"):
        shutil.copy(ROOT / name, work / "tree")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(work / "dist"), str(work / "tree")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = (work / "dist").glob("*.whl")
    (source,) = (work / "dist").glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        wheel_names = archive.namelist()
        entry_points = next(archive.read(n).decode() for n in wheel_names if n.endswith(".dist-info/entry_points.txt"))
    with tarfile.open(source) as archive:
        source_names = archive.getnames()
    return wheel_names, source_names, entry_points


def test_the_wheel_has_one_top_level_name(built):
    top = {name.split("/")[0] for name in built[0]}
    assert {name for name in top if not name.endswith(".dist-info")} == {"contextkit"}
    assert len(top) == 2


def test_the_wheel_holds_every_module_and_all_data(built):
    inside = {name for name in built[0] if ".dist-info/" not in name or name.startswith("contextkit/")}
    expected = {
        f"{'/'.join(name.split('.'))}{'/__init__' if path.name == '__init__.py' else ''}.py" for name, path in sources().items()
    }
    assert expected <= inside
    for path in (ROOT / "contextkit").rglob("*"):
        if path.is_file() and path.suffix != ".pyc" and not {"connectors", "indexes"} & set(path.relative_to(ROOT).parts):
            assert path.relative_to(ROOT).as_posix() in inside
    assert not [name for name in inside if "__pycache__" in name or name.endswith(".pyc")]
    assert module_name(ROOT / "connectors" / "files.py") == "contextkit.connectors.files"


def test_the_wheel_names_the_command_and_the_plugins(built):
    assert "contextkit = contextkit.cli:main" in built[2]
    assert "contextkit.connectors.files:FilesConnector" in built[2]


def test_the_source_archive_can_build(built):
    names = {name.partition("/")[2] for name in built[1]}
    assert {"pyproject.toml", "LICENSE", "README.md", "connectors/files.py", "contextkit/connectors/files.py"} <= names
