"""A long random life of an index, compared with a plain dict after every step."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests_pipeline import make_pipeline

from contextkit.catalog import Catalog, Vectors
from contextkit.indexes.faiss_index import FaissIndex
from contextkit.retrieval.terms import terms
from contextkit.sync import add, remove, sync
from contextkit.testing import TinyEmbedder
from contextkit.types import Blob, Document, DocumentRef, ListingPage, Principal

IDS = st.sampled_from([f"id{i}" for i in range(8)])
TEXTS = st.lists(st.sampled_from(["alpha", "beta beta", "gamma delta", "", "  epsilon"]), max_size=9).map("\n".join)
TEAMS = st.sampled_from([{}, {"team": "x"}, {"team": "y", "n": 1}])
ACCESS = st.sampled_from([None, ("group:g",), ()])


class Source:
    source = "dict:source"

    def __init__(self, documents, complete=True):
        self.documents, self.complete = documents, complete

    def list(self, cursor=None):
        refs = [
            DocumentRef(f"s-{i}", version=str(hash(text)), name=f"{i}.txt", metadata=metadata, access=access)
            for i, (text, metadata, access) in sorted(self.documents.items())
        ]
        yield ListingPage(tuple(refs[:2]))
        yield ListingPage(tuple(refs[2:]), complete=self.complete)

    def fetch(self, ref):
        return Blob(ref.id, ref.name, data=self.documents[ref.id[2:]][0].encode())


class Life(RuleBasedStateMachine):
    @initialize()
    def begin(self):
        self.folder = Path(tempfile.mkdtemp())
        self.embedder = TinyEmbedder()
        self.pipeline = make_pipeline(self.embedder)
        self.catalog = Catalog.create(self.folder / "index", self.embedder.info)
        self.vectors = Vectors(self.catalog, FaissIndex, FaissIndex.load)
        self.source: dict = {}
        self.model: dict = {}
        self.history: dict[int, dict] = {0: {}}

    def teardown(self):
        if hasattr(self, "catalog"):
            self.catalog.close()
            shutil.rmtree(self.folder)

    def note(self):
        self.history[self.catalog.generation()] = dict(self.model)

    @rule(i=IDS, text=TEXTS, metadata=TEAMS, access=ACCESS)
    def write(self, i, text, metadata, access):
        self.source[i] = (text, metadata, access)

    @precondition(lambda self: self.source)
    @rule(data=st.data(), metadata=TEAMS, access=ACCESS)
    def relabel(self, data, metadata, access):
        i = data.draw(st.sampled_from(sorted(self.source)))
        self.source[i] = (self.source[i][0], metadata, access)

    @precondition(lambda self: self.source)
    @rule(data=st.data(), to=IDS)
    def rename(self, data, to):
        i = data.draw(st.sampled_from(sorted(self.source)))
        self.source[to] = self.source.pop(i)

    @precondition(lambda self: self.source)
    @rule(data=st.data())
    def delete(self, data):
        del self.source[data.draw(st.sampled_from(sorted(self.source)))]

    @rule(complete=st.booleans(), retire=st.booleans())
    def sync(self, complete, retire):
        old = {k for k in self.model if k.startswith("s-")}
        new = {
            f"s-{i}": (text, {**metadata, "words": len(text.split())}, access)
            for i, (text, metadata, access) in self.source.items()
        }
        report = sync(self.catalog, Source(dict(self.source), complete), self.pipeline, retire=retire)
        assert report.added == len(new.keys() - old)
        assert report.changed == sum(self.model[i] != new[i] for i in new.keys() & old)
        assert report.unchanged == len(new) - report.added - report.changed
        if retire and complete:
            assert report.removed == len(old - new.keys())
            for i in old - new.keys():
                del self.model[i]
        else:
            assert report.removed == 0
        self.model |= new
        self.note()

    @rule(i=IDS, text=TEXTS, metadata=TEAMS, access=ACCESS)
    def add(self, i, text, metadata, access):
        add(self.catalog, [Document(f"k-{i}", text, metadata=metadata, access=access)], self.pipeline)
        self.model[f"k-{i}"] = (text, metadata, access)
        self.note()

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def remove(self, data):
        ids = data.draw(st.lists(st.sampled_from(sorted(self.model)), min_size=1, max_size=3, unique=True))
        remove(self.catalog, ids)
        for i in ids:
            del self.model[i]
        self.note()

    @rule(data=st.data())
    def rollback(self, data):
        target = data.draw(st.sampled_from(sorted(self.history)))
        self.catalog.rollback(target)
        self.model = dict(self.history[target])
        self.note()

    @rule(keep=st.integers(1, 4))
    def gc(self, keep):
        self.catalog.gc(keep)
        kept = {g.id for g in self.catalog.generations()} | {self.catalog.generation()}
        self.history = {g: m for g, m in self.history.items() if g in kept or (g == 0 and 1 in kept)}
        self.vectors.drop()

    @rule(save=st.booleans())
    def reopen(self, save):
        if save:
            self.vectors.save(force=True)
        self.catalog.close()
        self.catalog = Catalog.open(self.folder / "index")
        self.vectors = Vectors(self.catalog, FaissIndex, FaissIndex.load)

    @invariant()
    def equal(self):
        if not hasattr(self, "catalog"):
            return
        assert self.vectors.notes == []
        for generation in {self.catalog.generation(), min(self.history), max(self.history)}:
            model = self.history.get(generation, {}) if generation != self.catalog.generation() else self.model
            for principal in (None, Principal("u", ["g"])):
                names = () if principal is None else set(principal.names())
                visible = self.catalog.visible(principal=principal, generation=generation)
                expected = {i: d for i, d in model.items() if d[2] is None or set(d[2]) & set(names)}
                found = {
                    d.id: (self.catalog.content_text(d.content_id), dict(d.metadata), d.access)
                    for d in self.catalog.documents(visible)
                }
                assert found == expected
        seen = self.catalog.visible(principal=Principal("u", ["g"]))
        permitted = {i: d for i, d in self.model.items() if d[2] is None or "group:g" in d[2]}
        ids, _ = self.catalog.lexical(terms("beta"), 1000, seen.allowed)
        chunks = self.catalog.chunks(ids)
        assert all("beta" in c.text for c in chunks)
        holders = {d.id for ds in self.catalog.documents_of([c.content_id for c in chunks], seen).values() for d in ds}
        assert holders == {i for i, d in permitted.items() if "beta" in d[0]}
        near, _ = self.vectors.search(self.embedder.embed_queries(["beta"]), 1000, seen)
        assert sorted(near[near >= 0].tolist()) == np.flatnonzero(seen.allowed).tolist()
        team = self.catalog.visible({"team": "x"}, Principal("u", ["g"]))
        assert {d.id for d in self.catalog.documents(team)} == {i for i, d in permitted.items() if d[1].get("team") == "x"}


TestLife = Life.TestCase
TestLife.settings = settings(
    max_examples=25, stateful_step_count=20, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
)
