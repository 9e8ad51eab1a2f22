"""The same changes of a source through contextkit, LangChain's indexing API and LlamaIndex's ingestion pipeline: what each loses,
keeps wrongly and embeds again. Embedders are made-up and count; no model is run.

    python benchmarks/sync_peers.py PEERS_PYTHON [--json NAME]

PEERS_PYTHON is an interpreter with langchain-core, langchain-community, faiss-cpu and llama-index-core; it imports nothing of
contextkit. LangChain: `index(cleanup="full")` with an in-memory record manager and FAISS. LlamaIndex: `IngestionPipeline` with
docstore, vector store and the strategy UPSERTS_AND_DELETE. The two split at some 200 characters, contextkit by its own chunker.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

DOCUMENTS = 40
Docs = dict[str, tuple[str, dict[str, str]]]  # id -> (text, metadata)


class GoneError(Exception):
    """The embedder's service is gone."""


class Counter:
    """Counts texts, and fails where it is told to."""

    def __init__(self) -> None:
        self.embedded, self.broken = 0, False

    def vectors(self, texts: list[str]) -> list[list[float]]:
        """Unit vectors from a hash."""
        if self.broken:
            raise GoneError("the embedder does not answer")
        self.embedded += len(texts)
        out = []
        for text in texts:
            raw = [b - 127.5 for b in hashlib.sha256(text.encode()).digest()]
            length = sum(x * x for x in raw) ** 0.5
            out.append([x / length for x in raw])
        return out


def contextkit(counter: Counter) -> tuple[Any, Any]:
    """Functions that sync, and that tell the ids that are in the index."""
    import numpy as np

    import contextkit as ck
    from contextkit.testing import TinyEmbedder
    from contextkit.types import Blob, DocumentRef, ListingPage

    class Embedder(TinyEmbedder):
        def _vectors(self, texts: Any) -> Any:  # noqa: ANN401 - as its base
            return np.array(counter.vectors(list(texts)), dtype=np.float32).reshape(-1, 32)

        def embed(self, chunks: Any) -> Any:  # noqa: ANN401 - as its base
            """Counts chunks, not sentences."""
            before = counter.embedded
            made = super().embed(chunks)
            counter.embedded = before + len(chunks)
            return made

    class Source:
        source = "changes"

        def __init__(self, docs: Docs) -> None:
            self.docs = docs

        def list(self, cursor: str | None = None) -> Any:  # noqa: ANN401, ARG002 - the protocol's
            """One page of all."""
            refs = (
                DocumentRef(i, hashlib.sha256(t.encode()).hexdigest(), f"{i}.txt", metadata=m) for i, (t, m) in self.docs.items()
            )
            yield ListingPage(tuple(refs), complete=True)

        def fetch(self, ref: DocumentRef) -> Blob:
            """The text."""
            return Blob(ref.id, ref.name, data=self.docs[ref.id][0].encode())

    kit = ck.open(Path(tempfile.mkdtemp()) / "index", embedder=Embedder())
    return (lambda docs: kit.sync(Source(docs))), (lambda: {d.id for d in kit.catalog.everything()})


def langchain(counter: Counter) -> tuple[Any, Any]:
    """As `contextkit`."""
    import faiss
    from langchain_community.docstore.in_memory import InMemoryDocstore
    from langchain_community.vectorstores import FAISS
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.indexing import InMemoryRecordManager, index
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    class Embedder(Embeddings):
        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return counter.vectors(texts)

        def embed_query(self, text: str) -> list[float]:
            return counter.vectors([text])[0]

    store = FAISS(Embedder(), faiss.IndexFlatL2(32), InMemoryDocstore(), {})
    records = InMemoryRecordManager("changes")
    records.create_schema()
    splitter = RecursiveCharacterTextSplitter(chunk_size=200, chunk_overlap=0)

    def sync(docs: Docs) -> None:
        whole = [Document(page_content=t, metadata={"source": i, **m}) for i, (t, m) in docs.items()]
        splits = splitter.split_documents(whole)
        index(splits, records, store, cleanup="full", source_id_key="source", key_encoder="sha256")

    return sync, lambda: {d.metadata["source"] for d in store.docstore._dict.values()}  # noqa: SLF001 - there is no listing


def llamaindex(counter: Counter) -> tuple[Any, Any]:
    """As `contextkit`."""
    from llama_index.core import Document
    from llama_index.core.embeddings import BaseEmbedding
    from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
    from llama_index.core.node_parser import SentenceSplitter
    from llama_index.core.storage.docstore import SimpleDocumentStore
    from llama_index.core.vector_stores import SimpleVectorStore

    class Embedder(BaseEmbedding):
        def _get_text_embedding(self, text: str) -> list[float]:
            return counter.vectors([text])[0]

        def _get_query_embedding(self, query: str) -> list[float]:
            return counter.vectors([query])[0]

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return counter.vectors([query])[0]

    store = SimpleVectorStore()
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(chunk_size=64, chunk_overlap=0, include_metadata=False), Embedder()],
        docstore=SimpleDocumentStore(), vector_store=store, docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
    )  # fmt: skip

    def sync(docs: Docs) -> None:
        pipeline.run(documents=[Document(text=t, doc_id=i, metadata=m) for i, (t, m) in docs.items()])

    return sync, lambda: set(store.data.text_id_to_ref_doc_id.values())


def _text(i: int) -> str:
    words = "says something that no other says"
    return "\n\n".join(f"Paragraph {n} of document {i} {words}, {i * 7 + n}, and then some more words." for n in range(8))


def life(system: str) -> list[dict[str, Any]]:
    """What each step left: the ids that are lost and kept wrongly, and how many chunks were embedded."""
    counter = Counter()
    sync, there = {"contextkit": contextkit, "langchain": langchain, "llamaindex": llamaindex}[system](counter)
    docs: Docs = {f"d{i}": (_text(i), {"team": "a"}) for i in range(DOCUMENTS)}
    out: list[dict[str, Any]] = []

    def step(name: str, *, broken: bool = False) -> None:
        before, counter.broken = counter.embedded, broken
        try:
            sync(dict(docs))
            error = ""
        except Exception as found:  # noqa: BLE001 - whatever a system raises is its answer
            error = type(found).__name__
        counter.broken = False
        have = there()
        out.append(
            {
                "step": name, "lost": sorted(docs.keys() - have), "kept wrongly": sorted(have - docs.keys()),
                "embedded": counter.embedded - before, "error": error,
            }
        )  # fmt: skip

    step("first")
    step("unchanged")
    docs["d3"] = (docs["d3"][0].replace("Paragraph 7", "Paragraph seven"), docs["d3"][1])
    step("an edit, the embedder fails", broken=True)
    step("the edit again")
    docs["twin"] = docs["d5"]
    step("a twin appears")
    del docs["twin"]
    step("the twin goes")
    docs["twin"] = docs["d5"]
    step("the twin is back")
    del docs["d5"]
    step("its original goes")
    docs["d99"] = docs.pop("d7")
    step("a rename")
    docs |= {i: (t, {"team": "b"}) for i, (t, _) in docs.items()}
    step("metadata of all")
    del docs["d11"]
    step("a deletion")
    return out


def _told(result: dict[str, Any]) -> str:
    return f"{len(result['lost'])} / {len(result['kept wrongly'])} / {result['embedded']}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", help="the peers' interpreter, or `run` inside it")
    parser.add_argument("system", nargs="?")
    parser.add_argument("--json", metavar="NAME")
    args = parser.parse_args()
    if args.peers == "run":
        print(json.dumps(life(args.system)))
        return
    from common import table, write

    results = {"contextkit": life("contextkit")}
    for system in ("langchain", "llamaindex"):
        done = subprocess.run([args.peers, __file__, "run", system], capture_output=True, text=True, check=True)
        results[system] = json.loads(done.stdout.splitlines()[-1])
    rows = [(parts[0]["step"], *map(_told, parts)) for parts in zip(*results.values(), strict=True)]
    print("documents lost / kept wrongly / chunks embedded\n")
    print(table(("step", *results), rows))
    if args.json:
        print(f"written: {write(args.json, 'python benchmarks/sync_peers.py PEERS_PYTHON', results)}")


if __name__ == "__main__":
    sys.exit(main())
