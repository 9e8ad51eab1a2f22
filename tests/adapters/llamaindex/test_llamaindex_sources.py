"""Readers, connectors and node parsers across the border."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llama_index.core import SimpleDirectoryReader
from llama_index.core.node_parser import MarkdownNodeParser, SentenceSplitter, SentenceWindowNodeParser, TokenTextSplitter
from llama_index.core.readers.base import BaseReader
from llama_index.core.schema import Document as LlamaDocument

import contextkit as ck
from contextkit.adapters.llamaindex import KitReader, NodeParserChunker, ReaderConnector
from contextkit.errors import ParseError, SourceError
from contextkit.testing import ConnectorContract, TinyEmbedder


@pytest.fixture
def docs(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "one.md").write_text("# One\n\nThe ferry leaves at nine.")
    (folder / "two.txt").write_text("The museum is closed on Mondays.")
    return folder


# ------------------------------------------------------------------------------------------------------------------------- reader


def test_the_reader_reads_by_our_connectors_and_parsers(docs):
    loaded = KitReader(docs).load_data()
    assert [one.metadata["title"] for one in loaded if "title" in one.metadata] == ["One", "two"]
    assert {one.text.strip() for one in loaded} == {"# One\n\nThe ferry leaves at nine.", "The museum is closed on Mondays."}
    assert [one.id_ for one in loaded] == [one.id_ for one in KitReader(docs).load_data()]
    assert [one.id_ for one in KitReader(docs, glob="*.txt").load_data()] == [
        one.id_ for one in loaded if one.id_.endswith("two.txt")
    ]
    (docs / "broken.pdf").write_bytes(b"%PDF-1.7 nothing more")
    with pytest.raises(ParseError, match=r"broken\.pdf"):
        KitReader(docs).load_data()
    assert len(KitReader(docs, skip_unreadable=True).load_data()) == 2
    with pytest.raises(SourceError):
        KitReader(docs / "none").load_data()


# ---------------------------------------------------------------------------------------------------------------------- connector


class TestReaderConnector(ConnectorContract):
    @pytest.fixture(autouse=True)
    def _folder(self, docs):
        self.docs = docs

    def connector(self):
        return ReaderConnector(SimpleDirectoryReader(self.docs), "docs")

    def _id(self, name):
        return next(i for i in self._refs() if i.endswith(name))

    def edit(self):
        (self.docs / "one.md").write_text("# One\n\nThe ferry leaves at ten.")
        return self._id("one.md")

    def remove(self):
        gone = self._id("two.txt")
        (self.docs / "two.txt").unlink()
        return gone

    def vanish(self):
        self.docs = self.docs.parent / "elsewhere"
        self.connector = lambda: ReaderConnector(_Failing(), "docs")

    def test_fetch_of_a_gone_document_raises(self):
        before = self._refs()
        gone = self.remove()
        with pytest.raises(SourceError, match="any more"):
            self.connector().fetch(before[gone])


class _Failing(BaseReader):
    def load_data(self, *args, **kwargs):
        raise RuntimeError("the server is down")


class _Memory(BaseReader):
    def __init__(self, *documents):
        self.documents = documents

    def load_data(self, prefix=""):
        return [LlamaDocument(text=prefix + text, metadata=meta) for text, meta in self.documents]


def test_a_sync_follows_a_reader(tmp_path, docs):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        connector = ReaderConnector(SimpleDirectoryReader(docs), "docs", access=["user:ann"])
        assert kit.sync(connector).added == 2
        assert kit.sync(ReaderConnector(SimpleDirectoryReader(docs), "docs", access=["user:ann"])).unchanged == 2
        assert kit.search("ferry") == []
        hit = kit.search("ferry", principal=ck.Principal("ann"))[0]
        assert hit.uri.endswith("one.md")


def test_documents_without_a_place_are_known_by_their_content():
    reader = _Memory(("Same.", {}), ("Same.", {}), ("Other.", {"source": "s", "page_label": "3"}), ("Last.", {"odd": {1, 2}}))
    connector = ReaderConnector(reader, "notes")
    (page,) = connector.list()
    ids = [ref.id for ref in page.refs]
    assert ids == [ref.id for ref in next(iter(ReaderConnector(reader, "notes").list())).refs]
    assert ids[1] == f"{ids[0]}#2"
    assert ids[2] == "llamaindex:notes/s#page=3"
    named = ReaderConnector(reader, "notes", id_of=lambda d: d.text, prefix="> ")
    assert [ref.id for ref in next(iter(named.list())).refs][2] == "llamaindex:notes/> Other."
    with pytest.raises(ck.InputError, match="BaseReader"):
        ReaderConnector("docs", "x")
    with pytest.raises(ck.InputError, match="name"):
        ReaderConnector(reader, " ")
    with pytest.raises(SourceError, match="server is down"):
        list(ReaderConnector(_Failing(), "x").list())


# ------------------------------------------------------------------------------------------------------------------------ chunker

PARSERS = {
    "sentences": lambda: SentenceSplitter(
        chunk_size=40, chunk_overlap=12, chunking_tokenizer_fn=lambda text: re.findall(r"[^.!?]+[.!?]*\s*", text)
    ),
    "tokens": lambda: TokenTextSplitter(chunk_size=30, chunk_overlap=5),
    "markdown": MarkdownNodeParser,
    "windows": lambda: SentenceWindowNodeParser(sentence_splitter=lambda text: re.findall(r"[^.!?]+[.!?]*\s*", text)),
}
TEXTS = st.lists(
    st.sampled_from(["# Head\n\n", "A short one. ", "The same again. ", "A rather longer sentence with many words in it! ", "\n\n", " \t ", "x" * 90 + " ", "Ünïcödé 😀? ", "```\ncode()\n```\n"]),
    max_size=14,
).map("".join)  # fmt: skip


@pytest.mark.parametrize("name", PARSERS)
@settings(max_examples=25, deadline=None)
@given(text=TEXTS)
def test_chunks_of_a_node_parser_are_exact_and_hold_everything(name, text):
    embedder = TinyEmbedder(window=34)
    chunker = NodeParserChunker(PARSERS[name](), embedder)
    document = ck.Document("d", text, title="A title")
    chunks = chunker.chunk(document)
    assert chunks == NodeParserChunker(PARSERS[name](), embedder).chunk(document)
    at = 0
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert not text[at : chunk.start].strip(), "what lies between is white space"
        at = chunk.end
        inner = chunk.start
        for span in chunk.sentences:
            assert inner <= span.start < span.end <= chunk.end
            assert not text[inner : span.start].strip()
            inner = span.end
        assert embedder.count([f"{chunk.header} {chunk.text}"])[0] <= embedder.window - 2
    assert not text[at:].strip()


def test_a_chunker_follows_its_parser_and_names_its_settings():
    embedder = TinyEmbedder()
    text = "One two three. Four five six. Seven eight nine. Ten eleven twelve."
    small = NodeParserChunker(
        SentenceSplitter(chunk_size=10, chunk_overlap=0, chunking_tokenizer_fn=lambda t: re.findall(r"[^.]+\.\s*", t)), embedder
    )
    assert [chunk.text for chunk in small.chunk(ck.Document("d", text))] == [
        "One two three. Four five six.",
        "Seven eight nine. Ten eleven twelve.",
    ]
    assert small.config == small.config
    assert small.config != NodeParserChunker(SentenceSplitter(chunk_size=9, chunk_overlap=0), embedder).config
    assert "SentenceSplitter" in small.config
    assert " at 0x" not in small.config
    with pytest.raises(ck.InputError, match="NodeParser"):
        NodeParserChunker("sentences", embedder)


def test_an_index_is_built_with_a_node_parser(tmp_path):
    embedder = TinyEmbedder()
    chunker = NodeParserChunker(TokenTextSplitter(chunk_size=20, chunk_overlap=4), embedder)
    with ck.open(tmp_path / "index", embedder=embedder, chunker=chunker) as kit:
        kit.add([ck.Document("d", "The ferry leaves at nine. " * 20)])
        assert kit.info().chunks > 3
        assert max(len(hit.text.split()) for hit in kit.search("ferry", k=50)) <= 20
        assert kit.doctor().sound
