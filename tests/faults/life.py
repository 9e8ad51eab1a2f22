"""A scripted life of an index, step by step, and all that can be seen of it as plain values.

Each step opens the index anew, makes at most one generation, and may be run again after it was cut off.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "catalog"))

from tests_pipeline import make_pipeline

from contextkit.catalog import Catalog, Vectors, exists, vectors
from contextkit.indexes.faiss_index import FaissIndex
from contextkit.retrieval.terms import terms
from contextkit.sync import add, reembed, remove, sync, work
from contextkit.testing import TinyEmbedder
from contextkit.types import Blob, Document, DocumentRef, ListingPage, Principal

work._DOCUMENTS, work._BATCH = 6, 12  # several staging transactions even for few documents
vectors.HELD = EXACT = 20  # the vectors go into lists in a file, as those of large indexes do

Entry = tuple[str, dict[str, object], tuple[str, ...] | None]


class Source:
    """A source whose documents are given: name -> (text, metadata, access)."""

    source = "dict:life"

    def __init__(self, documents: dict[str, Entry]) -> None:
        self.documents = documents

    def list(self, cursor=None):
        refs = [
            DocumentRef(f"s-{n}", hashlib.sha256(text.encode()).hexdigest(), f"{n}.txt", metadata=metadata, access=access)
            for n, (text, metadata, access) in sorted(self.documents.items())
        ]
        yield ListingPage(tuple(refs[:5]))
        yield ListingPage(tuple(refs[5:]), complete=True)

    def fetch(self, ref):
        return Blob(ref.id, ref.name, data=self.documents[ref.id[2:]][0].encode())


def text(i: int, round_: int = 0) -> str:
    """A document of a few windows, some of them shared with others."""
    words = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta")
    lines = [f"Document {i} speaks of {words[i % 7]}.", "All share this line.", f"Part {i // 3} is the third line."]
    lines += [f"Line {n} of {i} in round {round_ if n > 4 else 0} has {words[(i + n) % 7]}." for n in range(6)]
    return "\n".join(lines) + "\n"


FIRST: dict[str, Entry] = {f"d{i:02}": (text(i), {"team": "ab"[i % 2], "n": i}, None) for i in range(18)}
FIRST["twin"] = FIRST["d03"]
SECOND = {k: v for k, v in FIRST.items() if k not in {"d00", "d01", "d05"}}
SECOND |= {f"d{i:02}": (text(i, 1), *FIRST[f"d{i:02}"][1:]) for i in (2, 7, 9)}
SECOND |= {"moved": FIRST["d05"], "new": (text(40), {}, None), "empty": (" \n", {}, None)}
RIGHTS: dict[str, Entry] = {k: (t, {**m, "seen": True}, ("group:g", f"user:{k}")) for k, (t, m, _) in SECOND.items()}
THIRD = {k: v for i, (k, v) in enumerate(RIGHTS.items()) if i % 4} | {"late": (text(50, 2), {"late": 1}, None)}
NOTES = [Document(f"k-{i}", text(60 + i), title=f"Note {i}", metadata={"by": "kit"}) for i in range(4)]


def _index(root: Path) -> Path:
    return root / "index"


def own(catalog: Catalog) -> TinyEmbedder:
    """The embedder of the index."""
    return TinyEmbedder(catalog.identity.embedder.name, catalog.identity.embedder.dimension)


def _sync(documents: dict[str, Entry]) -> Callable[[Path], None]:
    def step(root: Path) -> None:
        with Catalog.open(_index(root)) as catalog:
            sync(catalog, Source(documents), make_pipeline(own(catalog)), retire=True, note="life")

    return step


def create(root: Path) -> None:
    if not exists(_index(root)):
        Catalog.create(_index(root), TinyEmbedder().info).close()


def notes(root: Path) -> None:
    with Catalog.open(_index(root)) as catalog:
        add(catalog, NOTES, make_pipeline(TinyEmbedder()))


def take_out(root: Path) -> None:
    with Catalog.open(_index(root)) as catalog:
        there = [i for i in ("k-1", "s-new") if i in catalog.owners()]
        if there:
            remove(catalog, there)


def fold(root: Path) -> None:
    with Catalog.open(_index(root)) as catalog:
        Vectors(catalog, partial(FaissIndex, exact=EXACT), partial(FaissIndex.load, exact=EXACT)).save(force=True)


def pin(root: Path) -> None:
    with Catalog.open(_index(root)) as catalog:
        catalog.pin(2, "with notes")


def rollback(root: Path) -> None:
    with Catalog.open(_index(root)) as catalog:
        catalog.rollback(2)


def another_embedder(root: Path) -> None:
    with Catalog.open(_index(root)) as catalog:
        reembed(catalog, make_pipeline(TinyEmbedder("second", 48)))


def collect(root: Path) -> None:
    with Catalog.open(_index(root)) as catalog:
        catalog.gc(2)


def doctor(root: Path) -> None:
    with Catalog.open(_index(root)) as catalog:
        for card in catalog.folder.glob("vectors*.json"):
            card.unlink()
        catalog.examine(terms, Vectors(catalog, FaissIndex, FaissIndex.load))


STEPS: list[tuple[str, Callable[[Path], None]]] = [
    ("create", create),
    ("first sync", _sync(FIRST)),
    ("add documents", notes),
    ("edits, a move, deletions", _sync(SECOND)),
    ("fold into FAISS", fold),
    ("rights and metadata of all", _sync(RIGHTS)),
    ("remove", take_out),
    ("pin", pin),
    ("rollback", rollback),
    ("sync after the rollback", _sync(SECOND)),
    ("another embedder", another_embedder),
    ("sync with it", _sync(FIRST)),
    ("rollback to the first one", rollback),
    ("another embedder again", another_embedder),
    ("gc", collect),
    ("fold after gc", fold),
    ("doctor mends", doctor),
    ("last sync", _sync(THIRD)),
    ("fold again", fold),
]


def state(root: Path) -> dict[str, object] | None:
    """All that can be seen of the index: every kept generation with its documents, chunk for chunk; None without an index."""
    if not exists(_index(root)):
        return None
    with Catalog.open(_index(root), read_only=True) as catalog:
        everybody = Principal("nobody", ["g"])
        generations = catalog.generations()
        seen: dict[str, object] = {}
        for generation in sorted({catalog.generation(), *(g.id for g in generations)}):
            visible = catalog.visible(principal=everybody, generation=generation)
            current = visible.embedder == catalog.embedder_id
            seen[str(generation)] = {d.id: _document(catalog, d, vectors=current) for d in catalog.documents(visible)}
        visible = catalog.visible(principal=everybody)
        found_in = Vectors(catalog, FaissIndex, FaissIndex.load)
        ids, scores = found_in.search(own(catalog).embed_queries(["line of gamma"]), 1000, visible)
        found = sorted(zip(_places(catalog, ids[0]), scores[0][ids[0] >= 0].round(5).tolist(), strict=True))
        words, weights = catalog.lexical(terms("gamma third line"), 1000, visible.allowed)
        lexical = sorted(zip(_places(catalog, words), weights.round(4).tolist(), strict=True))
        told = [[g.id, g.note, g.added, g.changed, g.removed, g.pinned] for g in generations]
        team = {d.id for d in catalog.documents(catalog.visible({"team": "a"}, everybody))}
        return json.loads(
            json.dumps({"generations": told, "seen": seen, "dense": found, "lexical": lexical, "team": sorted(team)})
        )


def _document(catalog: Catalog, document, *, vectors: bool) -> list[object]:
    chunks = catalog.chunks_of(document.content_id)
    ids = [c.id for c in chunks] if vectors else []  # those of another embedder have another length
    whole = catalog.content_text(document.content_id)
    assert all(whole[c.start : c.end] == c.text for c in chunks)
    passages = [hashlib.sha256(v.tobytes()).hexdigest()[:12] for v in catalog.passage_vectors(ids)]
    sentences = [hashlib.sha256(v.tobytes()).hexdigest()[:12] for v in catalog.sentence_vectors(ids)]
    parts = [[c.start, c.text, c.header, c.sentences.tolist()] for c in chunks]
    return [whole, dict(document.metadata), document.access, document.source, parts, passages, sentences]


def _places(catalog: Catalog, ids) -> list[list[object]]:
    return [[c.text, c.start] for c in catalog.chunks([i for i in ids.tolist() if i >= 0])]
