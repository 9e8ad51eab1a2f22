"""Who may import whom: the table is the architecture, and the source is held to it."""

from __future__ import annotations

import graphlib

import pytest
from package_source import imports, own_imports, room, sources

SEAMS = {"errors", "types", "protocols"}
BASE = SEAMS | {"plugins"}
PARTS = BASE | {"catalog", "documents", "embedding", "tokens"}
WORK = PARTS | {"context", "evaluation", "memory", "observe", "retrieval", "sync"}

# room -> the rooms that it may import, at module level or inside functions
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "types": {"errors"},
    "protocols": {"errors", "types"},
    "plugins": SEAMS,
    "config": {"errors"},
    "catalog": BASE,
    "documents": BASE,
    "tokens": BASE,
    "embedding": BASE | {"tokens"},
    "retrieval": PARTS,
    "sync": PARTS | {"retrieval"},
    "context": PARTS | {"config", "retrieval"},  # profiles of agents stand in the settings' file
    "memory": PARTS | {"context", "retrieval"},  # memories are packed as documents are
    "observe": SEAMS | {"context"},
    "evaluation": PARTS | {"context", "retrieval"},
    "sources": BASE,
    "exchange": BASE | {"catalog", "retrieval"},
    "kit": WORK | {"exchange", "sources"},
    "aio": WORK | {"exchange", "kit"},
    "connectors": BASE | {"documents"},
    "indexes": BASE,
    "testing": SEAMS,
    "adapters": WORK | {"aio", "config", "exchange", "kit", "sources"},
    "cli": WORK | {"adapters", "aio", "config", "exchange", "kit", "sources"},
    "__main__": {"cli"},
}


def test_every_room_is_in_the_table():
    rooms = {room(module) for module in sources()} - {""}
    assert rooms - set(ALLOWED) == set(), "a new room: say in ALLOWED what it may import"
    assert set(ALLOWED) - rooms == set(), "a room that is gone: take it out of ALLOWED"


def test_the_table_has_no_circle():
    assert tuple(graphlib.TopologicalSorter(ALLOWED).static_order())


@pytest.mark.parametrize("importer", sorted(ALLOWED))
def test_imports_keep_to_the_table(importer):
    wrong = [
        f"{i.importer}:{i.line} imports {i.imported}"
        for i in own_imports()
        if room(i.importer) == importer and room(i.imported) not in ALLOWED[importer] | {importer}
    ]
    assert wrong == []


def test_the_package_itself_imports_its_parts_only_when_asked():
    eager = [i for i in own_imports() if i.importer == "contextkit" and not (i.lazy or i.typing)]
    assert eager == []


def test_the_core_never_imports_connectors_or_indexes():
    for i in own_imports():
        if room(i.imported) in ("connectors", "indexes"):
            assert room(i.importer) == room(i.imported), f"{i.importer}:{i.line}: {i.imported} is found as a plug-in"


def test_modules_have_no_circle():
    graph = {name: set() for name in sources()}
    for i in own_imports():
        if not (i.lazy or i.typing) and i.imported != i.importer:
            graph[i.importer].add(i.imported)
    assert tuple(graphlib.TopologicalSorter(graph).static_order())


def test_heavy_packages_are_imported_only_inside_functions():
    heavy = {"faiss", "openvino", "sentence_transformers", "spacy", "torch", "transformers", "unstructured"}
    eager = {(i.importer, i.imported) for i in imports() if i.imported.split(".")[0] in heavy and not (i.lazy or i.typing)}
    allowed = {"contextkit.embedding.bert", "contextkit.embedding.general", "contextkit.embedding.pooling"}  # loaded with a model
    assert {e for e in eager if e[0] not in allowed} == set()


def test_the_top_folders_are_never_imported_by_their_own_names():
    assert [i for i in imports() if i.imported.split(".")[0] in ("connectors", "indexes")] == []
