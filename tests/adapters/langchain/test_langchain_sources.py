"""LangChain's text splitters and loaders in a kit."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from langchain_text_splitters import (
    CharacterTextSplitter,
    MarkdownTextSplitter,
    RecursiveCharacterTextSplitter,
    TextSplitter,
    TokenTextSplitter,
)

import contextkit as ck
from contextkit.adapters.langchain import LoaderConnector, SplitterChunker
from contextkit.catalog.staging import check_chunks
from contextkit.errors import InputError, SourceError
from contextkit.protocols import Chunker, Connector
from contextkit.testing import ConnectorContract, TinyEmbedder

TEXT = """# Pumps

The pump was replaced in May. It runs at 40 bar, and its filter is changed twice a year.

- valve one; valve two; valve three
- valve one; valve two; valve three

| part | bar |
|---|---|
| pump | 40 |

The end. The end. The end. Die Pumpe läuft mit 40 bar — nicht mehr.
"""

SPLITTERS = [
    RecursiveCharacterTextSplitter(chunk_size=60, chunk_overlap=0),
    RecursiveCharacterTextSplitter(chunk_size=60, chunk_overlap=20),
    RecursiveCharacterTextSplitter(chunk_size=20, chunk_overlap=10, keep_separator=False),
    CharacterTextSplitter(separator="\n\n", chunk_size=50, chunk_overlap=10),
    CharacterTextSplitter(separator=";", chunk_size=20, chunk_overlap=0, keep_separator=False),
    MarkdownTextSplitter(chunk_size=80, chunk_overlap=0),
    RecursiveCharacterTextSplitter(chunk_size=5000),
]


def holds(document, chunks, embedder):
    """The rules of the protocol `Chunker`."""
    check_chunks(document, chunks)
    left = document.text
    for chunk in reversed(chunks):
        left = left[: chunk.start] + left[chunk.end :]
        assert sum(embedder.count([chunk.header, chunk.text])) <= embedder.window
        assert all(chunk.start <= s.start < s.end <= chunk.end for s in chunk.sentences)
        assert [s.start for s in chunk.sentences] == sorted(s.start for s in chunk.sentences)
        inside = "".join(document.text[s.start : s.end] for s in chunk.sentences)
        assert re.sub(r"\s", "", inside) == re.sub(r"\s", "", chunk.text)
    assert left.strip() == ""


@pytest.mark.parametrize("splitter", SPLITTERS, ids=lambda s: f"{type(s).__name__}-{s._chunk_size}-{s._chunk_overlap}")
@pytest.mark.parametrize("window", [12, 256])
def test_chunks_keep_the_rules_and_begin_where_the_splitter_says(splitter, window):
    embedder = TinyEmbedder(window=window)
    chunker = SplitterChunker(splitter, embedder)
    assert isinstance(chunker, Chunker)
    document = ck.Document(id="d", text=TEXT, title="Pumps")
    chunks = chunker.chunk(document)
    holds(document, chunks, embedder)
    if window == 256 and splitter._chunk_overlap == 0:
        assert [c.start for c in chunks] == [TEXT.index(splitter.split_text(TEXT)[0]), *(c.start for c in chunks[1:])]
        assert len(chunks) == len(splitter.split_text(TEXT))


@given(st.text("ab .\n\t", max_size=120), st.sampled_from(SPLITTERS[:4]))
@settings(max_examples=200)
def test_repetitive_texts_are_placed_too(text, splitter):
    embedder = TinyEmbedder(window=20)
    document = ck.Document(id="d", text=text)
    chunks = SplitterChunker(splitter, embedder).chunk(document)
    holds(document, chunks, embedder)
    assert (chunks == []) == (text.strip() == "")


class Rewriting(TextSplitter):
    def split_text(self, text):
        return [part.upper() for part in text.split("\n\n")]


class Joining(TextSplitter):
    def split_text(self, text):
        return [text.replace(";", "")]


class Backwards(TextSplitter):
    def split_text(self, text):
        return text.split("\n\n")[::-1]


@pytest.mark.parametrize("splitter", [Rewriting(), Backwards(), Joining()])
def test_a_splitter_that_does_not_give_the_text_is_refused_by_name(tmp_path, splitter):
    embedder = TinyEmbedder()
    with ck.open(tmp_path / "i", embedder=embedder, chunker=SplitterChunker(splitter, embedder)) as kit:
        with pytest.raises(InputError, match=f"{type(splitter).__name__} does not stand in the text"):
            kit.add([ck.Document(id="d", text=TEXT)])
        assert kit.info().documents == 0
    with pytest.raises(InputError, match="TextSplitter"):
        SplitterChunker(lambda text: [text], embedder)


def test_settings_name_the_chunker():
    embedder = TinyEmbedder()
    configs = {SplitterChunker(s, embedder).config for s in SPLITTERS}
    assert len(configs) == len(SPLITTERS)
    assert SplitterChunker(RecursiveCharacterTextSplitter(chunk_size=60, chunk_overlap=0), embedder).config in configs
    assert "0x" not in "".join(configs)
    assert SplitterChunker(SPLITTERS[0], embedder, name="mine").config == "mine window=256"


def test_a_kit_cuts_with_it_and_a_packet_cites_exact_places(tmp_path):
    embedder = TinyEmbedder()
    chunker = SplitterChunker(RecursiveCharacterTextSplitter(chunk_size=60, chunk_overlap=20), embedder)
    with ck.open(tmp_path / "i", embedder=embedder, chunker=chunker) as kit:
        kit.add([ck.Document(id="d", text=TEXT)])
        packet = kit.context("At what pressure does the pump run?", budget=200)
        assert packet.items
        assert all(TEXT[item.start : item.end] == item.text for item in packet.items)


def test_token_splitters_that_cut_inside_words_are_placed():
    pytest.importorskip("tiktoken")
    from contextkit.tokens import counter_for

    counter = counter_for("cl100k_base")
    splitter = RecursiveCharacterTextSplitter(chunk_size=12, chunk_overlap=4, length_function=counter.count)
    embedder = TinyEmbedder()
    document = ck.Document(id="d", text=TEXT)
    holds(document, SplitterChunker(splitter, embedder).chunk(document), embedder)
    assert issubclass(TokenTextSplitter, TextSplitter)


# ------------------------------------------------------------------------------------------------------------------------ loaders


class Notes(BaseLoader):
    """A loader over a mapping of names to texts."""

    def __init__(self, notes):
        self.notes = notes

    def lazy_load(self):
        if self.notes is None:
            raise ConnectionError("the source does not answer")
        for name, text in self.notes.items():
            yield Document(page_content=text, metadata={"source": name, "title": name.upper(), "n": len(text)})


class TestLoaderContract(ConnectorContract):
    @pytest.fixture(autouse=True)
    def _notes(self):
        self.notes = {"a": "one", "b": "two", "c": "three"}

    def connector(self):
        made = LoaderConnector(Notes(self.notes), "notes")
        assert isinstance(made, Connector)
        return made

    def edit(self):
        self.notes["b"] = "changed"
        return "b"

    def remove(self):
        del self.notes["c"]
        return "c"

    def vanish(self):
        self.notes = None


def test_a_loader_is_synced_and_what_is_gone_leaves(kit):
    notes = {"a": "The pump runs at 40 bar.", "b": "Leave is carried over."}
    connector = LoaderConnector(Notes(notes), "notes")
    assert kit.sync(connector).added == 2
    assert kit.info().documents == 2
    [best] = kit.search("pump pressure", k=1)
    assert (best.document_id, best.title, best.uri, best.metadata["n"]) == ("a", "A", "a", 24)
    assert kit.sync(connector).unchanged == 2
    del notes["b"]
    notes["a"] = "The pump runs at 50 bar."
    report = kit.sync(connector)
    assert (report.changed, report.removed) == (1, 1)
    notes.clear()
    connector = LoaderConnector(Notes(None), "notes")
    with pytest.raises(SourceError, match="does not answer"):
        kit.sync(connector)
    assert kit.info().documents == 1


class Pages(BaseLoader):
    def lazy_load(self):
        for page in range(3):
            yield Document(page_content=f"page {page}", metadata={"source": "a.pdf", "page": page})
        yield Document(page_content="x", metadata={"source": "b"})
        yield Document(page_content="y", metadata={"source": "b"})
        yield Document(page_content="z", id="own")
        yield Document(page_content="w", metadata={})


def test_ids_of_pages_and_of_the_same_source():
    pages = list(LoaderConnector(Pages(), "p").list())
    assert [ref.id for ref in pages[0].refs] == ["a.pdf#page=0", "a.pdf#page=1", "a.pdf#page=2", "b", "b#2", "own", "document-7"]
    fetched = LoaderConnector(Pages(), "p").fetch(pages[0].refs[4])
    assert fetched.text == "y"


def test_a_loader_of_nothing_and_wrong_arguments():
    [page] = LoaderConnector(Notes({}), "n").list()
    assert (page.refs, page.complete) == ((), True)
    with pytest.raises(InputError, match="BaseLoader"):
        LoaderConnector(object(), "n")
    with pytest.raises(InputError, match="name"):
        LoaderConnector(Notes({}), " ")
