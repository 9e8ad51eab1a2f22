"""Peers as their own tutorials start them, for `peers.py` and `speed.py`: answers to questions, and a folder indexed.

    PEERS_PYTHON benchmarks/peer_systems.py answer SYSTEM TASK.json OUT.jsonl
    PEERS_PYTHON benchmarks/peer_systems.py ingest MODEL FOLDER PATTERN OUT_FOLDER

Run by the peers' own interpreter (`peers-requirements.txt`); imports nothing of contextkit, and each peer only where it is asked
for. All of them get the same weights, the same documents, and title, scope and time as metadata. What is not said here is their
default.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

Ranked = Callable[[str, str], list[str]]  # (question, scope or "") -> passages, best first
Index = Callable[[Sequence[Mapping[str, Any]]], Ranked]  # documents -> Ranked

DEPTH = 60
_CHUNK, _OVERLAP = 1000, 200  # of LangChain's tutorial

SETTINGS = {
    "langchain": "RecursiveCharacterTextSplitter(1000, 200), FAISS.from_documents, similarity_search",
    "llamaindex": "VectorStoreIndex.from_documents, as_retriever (SentenceSplitter 1024/20)",
    "haystack": "DocumentSplitter(word, 200), InMemory embedding + BM25 retrievers, DocumentJoiner(reciprocal_rank_fusion)",
    "txtai": "Embeddings(hybrid=True, content=True) on paragraphs",
}
PACKAGES = {
    "langchain": ("langchain-community", "langchain-huggingface", "langchain-text-splitters", "faiss-cpu"),
    "llamaindex": ("llama-index-core", "llama-index-embeddings-huggingface"),
    "haystack": ("haystack-ai", "sentence-transformers-haystack"),
    "txtai": ("txtai", "faiss-cpu"),
}
_COMMON = ("sentence-transformers", "torch")


def metadata(document: Mapping[str, Any]) -> dict[str, Any]:
    """What every system is told of a document beside its text."""
    return {k: document[k] for k in ("title", "scope", "time") if document.get(k)}


def langchain(model: str) -> Index:
    """LangChain with FAISS."""
    from langchain_community.vectorstores import FAISS
    from langchain_core.documents import Document
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    embeddings = HuggingFaceEmbeddings(model_name=model)

    def index(documents: Sequence[Mapping[str, Any]]) -> Ranked:
        splitter = RecursiveCharacterTextSplitter(chunk_size=_CHUNK, chunk_overlap=_OVERLAP)
        splits = splitter.split_documents([Document(page_content=d["text"], metadata=metadata(d)) for d in documents])
        store = FAISS.from_documents(splits, embeddings)

        def ranked(question: str, scope: str) -> list[str]:
            only = {"scope": scope} if scope else None
            found = store.similarity_search(question, k=DEPTH, filter=only, fetch_k=len(splits) if scope else DEPTH)
            return [d.page_content for d in found]

        return ranked

    return index


def llamaindex(model: str) -> Index:
    """LlamaIndex with its own vector store."""
    from llama_index.core import Document, Settings, VectorStoreIndex
    from llama_index.core.vector_stores import ExactMatchFilter, MetadataFilters
    from llama_index.embeddings.huggingface import HuggingFaceEmbedding

    Settings.embed_model, Settings.llm = HuggingFaceEmbedding(model_name=model), None

    def index(documents: Sequence[Mapping[str, Any]]) -> Ranked:
        store = VectorStoreIndex.from_documents([Document(text=d["text"], metadata=metadata(d)) for d in documents])

        def ranked(question: str, scope: str) -> list[str]:
            only = MetadataFilters(filters=[ExactMatchFilter(key="scope", value=scope)]) if scope else None
            found = store.as_retriever(similarity_top_k=DEPTH, filters=only).retrieve(question)
            return [n.node.get_content() for n in found]

        return ranked

    return index


def haystack(model: str) -> Index:
    """Haystack: embeddings and BM25, joined by reciprocal rank."""
    from haystack import Document
    from haystack.components.joiners import DocumentJoiner
    from haystack.components.preprocessors import DocumentSplitter
    from haystack.components.retrievers.in_memory import InMemoryBM25Retriever, InMemoryEmbeddingRetriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore
    from haystack_integrations.components.embedders.sentence_transformers import (
        SentenceTransformersDocumentEmbedder,
        SentenceTransformersTextEmbedder,
    )

    embed = SentenceTransformersDocumentEmbedder(model=model, progress_bar=False)
    embed.warm_up()
    ask = SentenceTransformersTextEmbedder(model=model, progress_bar=False)
    ask.warm_up()

    def index(documents: Sequence[Mapping[str, Any]]) -> Ranked:
        whole = [Document(content=d["text"], meta=metadata(d)) for d in documents]
        parts = DocumentSplitter(split_by="word", split_length=200).run(documents=whole)["documents"]
        store = InMemoryDocumentStore(embedding_similarity_function="cosine")
        store.write_documents(embed.run(documents=parts)["documents"])
        dense, words = InMemoryEmbeddingRetriever(store), InMemoryBM25Retriever(store)
        joiner = DocumentJoiner(join_mode="reciprocal_rank_fusion")

        def ranked(question: str, scope: str) -> list[str]:
            only = {"field": "meta.scope", "operator": "==", "value": scope} if scope else None
            near = dense.run(query_embedding=ask.run(text=question)["embedding"], top_k=DEPTH, filters=only)["documents"]
            same = words.run(query=question, top_k=DEPTH, filters=only)["documents"]
            return [d.content for d in joiner.run(documents=[near, same])["documents"]]

        return ranked

    return index


def txtai(model: str) -> Index:
    """txtai: a hybrid index of paragraphs."""
    from txtai import Embeddings

    store = Embeddings(path=model, content=True, hybrid=True)

    def index(documents: Sequence[Mapping[str, Any]]) -> Ranked:
        store.index(
            (f"{d['id']}#{i}", {"text": p, **metadata(d)}, None)
            for d in documents
            for i, p in enumerate(paragraphs(d["text"]))
        )  # fmt: skip

        def ranked(question: str, scope: str) -> list[str]:
            if not scope:
                return [r["text"] for r in store.search(question, DEPTH)]
            sql = "select text from txtai where similar(:question, 2000) and scope = :scope"
            return [r["text"] for r in store.search(sql, DEPTH, parameters={"question": question, "scope": scope})]

        return ranked

    return index


SYSTEMS: dict[str, Callable[[str], Index]] = {
    "langchain": langchain,
    "llamaindex": llamaindex,
    "haystack": haystack,
    "txtai": txtai,
}


def paragraphs(text: str) -> list[str]:
    """The paragraphs of a text: what blank lines part, or lines where it has none."""
    return [p for p in text.split("\n\n" if "\n\n" in text else "\n") if p.strip()]


def answer(system: str, task: Path, out: Path) -> None:
    """Writes a first line with figures, then {"id", "passages"} of each question.

    The task is {"model": folder of the weights, "documents": [...], "questions": [{"id", "question", "scope"?}, ...]}. Importing
    and loading the model are not in the time to index.
    """
    given = json.loads(task.read_text(encoding="utf-8"))
    index = SYSTEMS[system](given["model"])
    begin = time.perf_counter()
    ranked = index(given["documents"])
    indexed = time.perf_counter() - begin
    ranked("warm up", "")
    took: list[float] = []
    lines: list[str] = []
    for q in given["questions"]:
        begin = time.perf_counter()
        passages = ranked(q["question"], q.get("scope", ""))
        took.append(1000 * (time.perf_counter() - begin))
        lines.append(json.dumps({"id": q["id"], "passages": passages}))
    head = {
        "system": system,
        "versions": {name: version(name) for name in (*PACKAGES[system], *_COMMON)},
        "settings": SETTINGS[system],
        "index_seconds": round(indexed, 2),
        "retrieve_ms_median": round(statistics.median(took), 2),
    }
    out.write_text("\n".join([json.dumps(head), *lines]) + "\n", encoding="utf-8")


def ingest(model: str, folder: Path, pattern: str, out: Path) -> None:
    """LangChain's tutorial from a folder of text files to a saved FAISS index."""
    from langchain_community.document_loaders import DirectoryLoader, TextLoader
    from langchain_community.vectorstores import FAISS
    from langchain_huggingface import HuggingFaceEmbeddings
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    documents = DirectoryLoader(str(folder), glob=pattern, loader_cls=TextLoader, loader_kwargs={"encoding": "utf-8"}).load()
    splits = RecursiveCharacterTextSplitter(chunk_size=_CHUNK, chunk_overlap=_OVERLAP).split_documents(documents)
    store = FAISS.from_documents(splits, HuggingFaceEmbeddings(model_name=model))
    store.save_local(str(out))
    names = (*PACKAGES["langchain"], *_COMMON)
    print(json.dumps({"documents": len(documents), "chunks": len(splits), "versions": {n: version(n) for n in names}}))


if __name__ == "__main__":
    verb, *rest = sys.argv[1:]
    if verb == "answer":
        answer(rest[0], Path(rest[1]), Path(rest[2]))
    elif verb == "ingest":
        ingest(rest[0], Path(rest[1]), rest[2], Path(rest[3]))
    else:
        raise SystemExit(__doc__)
