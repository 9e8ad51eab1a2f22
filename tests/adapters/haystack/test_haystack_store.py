"""The document store beyond Haystack's own contract tests: exact fields, filters beside the in-memory store, bad input, threads."""

from __future__ import annotations

import asyncio
import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pytest
from haystack import Pipeline
from haystack.components.generators.chat import MockChatGenerator
from haystack.components.writers import DocumentWriter
from haystack.dataclasses import ByteStream, ChatMessage, Document, SparseEmbedding, ToolCall
from haystack.document_stores.errors import DuplicateDocumentError
from haystack.document_stores.in_memory import InMemoryDocumentStore
from haystack.document_stores.types import DuplicatePolicy
from haystack.errors import FilterError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import contextkit as ck
from contextkit.adapters.haystack import KitContextBuilder, KitDocumentStore, KitFilterError, KitRetriever, where_of
from contextkit.errors import IndexLocked, KitClosed, ReadOnlyIndex
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for, message_tokens

DOCS = [
    Document(id="hive", content="Ann keeps the bees. The hive stands east of the barn.", meta={"team": "garden", "year": 2024}),
    Document(id="pump", content="The pump runs at 40 bar. It was replaced in May.", meta={"team": "plant", "year": 2025}),
]


@pytest.fixture
def store(tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder()) as kit:
        yield KitDocumentStore(kit=kit)


@pytest.mark.parametrize(
    "document",
    [
        Document(content="Plain."),
        Document(content="Wide.", embedding=[0.1, 1e300, -0.0, math.inf, 3.0]),
        Document(content="Narrow.", embedding=[0.5, -1.25]),
        Document(content="None at all.", embedding=[]),
        Document(content="Sparse.", sparse_embedding=SparseEmbedding(indices=[1, 7], values=[0.3, 0.7])),
        Document(blob=ByteStream(b"\x00\xff", meta={"name": "x"}, mime_type="image/png")),
        Document(content="", meta={"empty": True}),
        Document(content=" \n "),
        Document(content="Scored.", score=0.25),
        Document(content="Nested.", meta={"a": {"b": [1, None, {"c": "2024-05-01"}]}, "title": "T", "id": 7, "x.y": 1}),
        Document(id="ünï/…", content="Text with \u200b marks 😀 and\r\nline ends."),
    ],
    ids=lambda d: (d.content or "blob").strip()[:12],
)
def test_every_field_comes_back_as_it_was(store, document):
    store.write_documents([document])
    (back,) = store.filter_documents()
    assert back == document
    assert back.embedding == document.embedding


def test_order_is_that_of_writing_and_an_overwritten_document_keeps_its_place(store):
    ids = [f"d{n}" for n in (5, 1, 9, 3)]
    store.write_documents([Document(id=i, content=f"Text {i}.") for i in ids])
    store.write_documents([Document(id="a", content="Later.")])
    store.write_documents([Document(id="d1", content="Changed.")], policy=DuplicatePolicy.OVERWRITE)
    store.update_by_filter({"field": "id", "operator": "==", "value": "d9"}, {"seen": True})
    assert [d.id for d in store.filter_documents()] == [*ids, "a"]


def test_an_update_embeds_nothing_and_keeps_all_fields(tmp_path):
    embedder = TinyEmbedder()
    with ck.open(tmp_path / "index", embedder=embedder) as kit:
        store = KitDocumentStore(kit=kit)
        document = Document(content="A long walk.", meta={"day": "2024-05-01"}, embedding=[0.1, 0.2], score=1.5)
        store.write_documents([document])
        before = embedder.embedded
        assert store.update_by_filter({"field": "meta.day", "operator": "<", "value": "2024-06-01"}, {"day": "2025-01-01"}) == 1
        assert embedder.embedded == before
        assert store.count_documents_by_filter({"field": "meta.day", "operator": ">", "value": "2024-12-31T23:59:59"}) == 1
        assert store.count_documents_by_filter({"field": "meta.day", "operator": "<", "value": "2024-06-01"}) == 0
        (back,) = store.filter_documents()
        assert (back.meta, back.embedding, back.score) == ({"day": "2025-01-01"}, [0.1, 0.2], 1.5)


# ------------------------------------------------------------------------------------------------------------------------ filters

VALUES = st.one_of(
    st.integers(-3, 3),
    st.sampled_from([0.5, 1.0, -2.5, True, False, None, "red", "blue", "", "1"]),
    st.sampled_from(
        ["2024-05-01", "2024-05-01T00:00:00", "2024-05-01T02:00:00+02:00", "2024-05-01T00:00:00Z", "2024-06-30T12:00:00.5"]
    ),
)
DATES = st.sampled_from(
    [
        "2024-05-01",
        "2024-05-01T00:00:00",
        "2024-05-01T02:00:00+02:00",
        "2024-05-01T00:00:00+00:00",
        datetime(2024, 5, 1, tzinfo=UTC),
        datetime(2024, 5, 1),  # noqa: DTZ001 - a clock time
    ]
)
FIELDS = st.sampled_from(["meta.n", "meta.s", "meta.when", "meta.in.ner", "n"])


def leaves(kinds):
    return st.one_of(
        st.builds(lambda f, o, v: {"field": f, "operator": o, "value": v}, FIELDS, st.sampled_from(["==", "!="]), kinds),
        st.builds(
            lambda f, o, v: {"field": f, "operator": o, "value": v},
            FIELDS,
            st.sampled_from(["in", "not in"]),
            st.lists(kinds, max_size=3),
        ),
        st.builds(
            lambda o, v: {"field": "meta.n", "operator": o, "value": v},
            st.sampled_from([">", ">=", "<", "<="]),
            st.one_of(st.integers(-3, 3), st.floats(-3, 3), st.none()),
        ),
        st.builds(
            lambda o, v: {"field": "meta.when", "operator": o, "value": v},
            st.sampled_from([">", ">=", "<", "<="]),
            st.one_of(DATES, st.none()),
        ),
        st.builds(
            lambda f, o: {"field": f, "operator": o, "value": None},
            st.sampled_from(["content", "embedding", "blob"]),
            st.sampled_from(["==", "!="]),
        ),
        st.builds(
            lambda v: {"field": "id", "operator": "in", "value": v}, st.lists(st.sampled_from(["0", "1", "2", "9"]), max_size=3)
        ),
    )


FILTERS = st.recursive(
    leaves(st.one_of(VALUES, DATES)),
    lambda inner: st.builds(
        lambda o, c: {"operator": o, "conditions": c}, st.sampled_from(["AND", "OR", "NOT"]), st.lists(inner, max_size=3)
    ),
    max_leaves=6,
)
METAS = st.fixed_dictionaries(
    {},
    optional={
        "n": st.one_of(st.integers(-3, 3), st.sampled_from([0.5, 1.0, True, None])),
        "s": VALUES,
        "when": st.one_of(DATES.filter(lambda d: isinstance(d, str)), st.none()),
        "in": st.fixed_dictionaries({}, optional={"ner": VALUES}),
    },
)
CORPUS = [
    {}, {"n": 1, "s": "red", "when": "2024-05-01"}, {"n": 1.0, "s": True, "when": "2024-05-01T02:00:00+02:00"},
    {"n": True, "s": 1, "in": {"ner": "red"}}, {"n": None, "s": None, "when": None}, {"n": -3, "s": "", "when": "2024-05-01T00:00:00+00:00"},
    {"n": 0.5, "s": "2024-05-01T00:00:00", "when": "2024-05-01T00:00:00.000001"}, {"n": 3, "s": "1", "in": {"ner": None}},
    {"n": 0, "s": False, "in": {"ner": "2024-05-01"}}, {"s": 0, "when": "2024-04-30T23:00:00-01:00"}, {"n": 2, "in": {}},
]  # fmt: skip


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The same documents in Haystack's own store and in ours."""
    documents = [
        Document(id=str(n), content=None if n == 3 else f"Text {n}.", meta=meta, embedding=[1.0] if n % 2 else None)
        for n, meta in enumerate(CORPUS)
    ]
    theirs = InMemoryDocumentStore(shared=False)
    theirs.write_documents(documents)
    with ck.open(tmp_path_factory.mktemp("both") / "index", embedder=TinyEmbedder()) as kit:
        ours = KitDocumentStore(kit=kit)
        ours.write_documents(documents)
        yield theirs, ours


@settings(max_examples=150, deadline=None)
@given(FILTERS)
def test_filters_find_what_the_in_memory_store_finds(both, filters):
    theirs, ours = both
    assert [d.id for d in ours.filter_documents(filters)] == [d.id for d in theirs.filter_documents(filters)]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(METAS, max_size=5), FILTERS, METAS)
def test_updates_and_deletions_by_filter_are_those_of_the_in_memory_store(tmp_path_factory, metas, filters, update):
    theirs = InMemoryDocumentStore(shared=False)
    with ck.open(tmp_path_factory.mktemp("by") / "index", embedder=TinyEmbedder()) as kit:
        ours = KitDocumentStore(kit=kit)
        for one in (theirs, ours):
            one.write_documents([Document(id=str(n), content=f"Text {n}.", meta=dict(meta)) for n, meta in enumerate(metas)])
        assert ours.update_by_filter(filters, update) == theirs.update_by_filter(filters, update)
        assert ours.filter_documents() == theirs.filter_documents()
        negated = {"operator": "NOT", "conditions": [filters]}
        assert ours.delete_by_filter(negated) == theirs.delete_by_filter(negated)
        assert ours.filter_documents() == theirs.filter_documents()


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"team": "plant"}, "'operator' is missing"),
        ({"team": {"$eq": "plant"}}, "'operator' is missing"),
        ("team == plant", "must be a dictionary"),
        ({"field": "meta.a", "operator": "like", "value": "x"}, "like.*==.*not in"),
        ({"operator": "XOR", "conditions": []}, "XOR.*AND, OR, NOT"),
        ({"operator": "AND", "conditions": {"field": "a"}}, "must be a list"),
        ({"field": "meta.a", "operator": "==", "value": [1]}, "use 'in'"),
        ({"field": "meta.a", "operator": "==", "value": {"b": 1}}, "one value"),
        ({"field": "meta.a", "operator": ">", "value": "spring"}, "ISO 8601"),
        ({"field": "meta.a", "operator": ">", "value": True}, "give a number"),
        ({"field": "meta.a", "operator": "==", "value": math.nan}, "nan"),
        ({"field": "meta.a", "operator": "==", "value": object()}, "object"),
        ({"field": "content", "operator": "==", "value": "x"}, "only be compared with None"),
        ({"field": "person.name", "operator": "==", "value": "x"}, "meta.person.name"),
        ({"field": 3, "operator": "==", "value": "x"}, "field of a filter"),
    ],
)
def test_a_filter_that_is_not_understood_is_the_peers_error_and_ours(store, filters, words):
    store.write_documents(DOCS)
    for call in (
        store.filter_documents,
        store.delete_by_filter,
        store.count_documents_by_filter,
        lambda f: store.search("bees", filters=f),
    ):
        with pytest.raises(FilterError, match=words) as caught:
            call(filters)
        assert isinstance(caught.value, (KitFilterError, ck.FilterError))
    assert store.count_documents() == 2


def test_a_filter_that_is_nested_without_end_is_refused():
    filters = {"field": "meta.a", "operator": "==", "value": 1}
    for _ in range(2000):
        filters = {"operator": "NOT", "conditions": [filters]}
    with pytest.raises(KitFilterError, match="nested"):
        where_of(filters)


# ---------------------------------------------------------------------------------------------------------------------- components


def test_a_pipeline_writes_retrieves_and_builds_a_packet(store):
    indexing = Pipeline()
    indexing.add_component("writer", DocumentWriter(store, policy=DuplicatePolicy.OVERWRITE))
    indexing.run({"writer": {"documents": DOCS}})
    received = []

    def model(messages):
        received.extend(messages)
        return "East of the barn."

    asking = Pipeline()
    asking.add_component("retriever", KitRetriever(store, top_k=1))
    asking.add_component("context", KitContextBuilder(store, budget=200))
    asking.add_component("llm", MockChatGenerator(response_fn=model))
    asking.connect("context.messages", "llm.messages")
    question = "Where does the hive stand?"
    out = asking.run({"retriever": {"query": question}, "context": {"question": question}}, include_outputs_from={"context"})
    (found,) = out["retriever"]["documents"]
    assert (found.content, found.meta["source_id"], found.meta["team"]) == (DOCS[0].content, "hive", "garden")
    receipt = store.kit.receipt(out["context"]["receipt_id"])
    assert (
        message_tokens([m.to_openai_dict_format() for m in received], counter_for(None))
        == receipt.tokens
        == out["context"]["tokens"]
    )
    assert "The hive stands east of the barn." in received[0].text
    for run in out["context"]["documents"]:
        text = store.kit.catalog.text(run.meta["source_id"])
        assert text[run.meta["split_idx_start"] :].startswith(run.content)
    assert out["llm"]["replies"][0].text == "East of the barn."


def test_the_context_builder_holds_history_system_and_memory_in_one_budget(store):
    store.write_documents(DOCS)
    builder = KitContextBuilder(store, budget=400, system="Be brief.")
    history = [ChatMessage.from_system("Answer in English."), ChatMessage.from_user("Hi."), ChatMessage.from_assistant("Hello.")]
    out = builder.run("What pressure has the pump?", history=history, memory=["The pump is old."])
    assert [m.role.value for m in out["messages"]] == ["system", "user", "assistant", "user"]
    assert out["messages"][0].text == "Be brief.\n\nAnswer in English."
    assert out["messages"][1] is history[1]
    assert "40 bar" in out["text"]
    assert "The pump is old." in out["text"]
    assert out["text"] == out["messages"][-1].text
    assert message_tokens([m.to_openai_dict_format() for m in out["messages"]], counter_for(None)) == out["tokens"] <= 400
    alone = asyncio.run(
        KitContextBuilder(store).run_async(
            "What pressure has the pump?", budget=60, filters={"field": "meta.team", "operator": "==", "value": "garden"}
        )
    )
    assert "40 bar" not in alone["text"]
    assert alone["tokens"] <= 60


def test_components_come_back_from_their_dictionaries(tmp_path):
    store = KitDocumentStore(tmp_path / "index", read_only=False, access=["user:ann"], principal="ann")
    for part in (
        KitRetriever(store, filters={"field": "meta.a", "operator": "==", "value": 1}, top_k=3, filter_policy="merge"),
        KitContextBuilder(store, 99, "gpt-4o", None, "S", 7),
    ):
        again = type(part).from_dict(part.to_dict())
        assert again.to_dict() == part.to_dict()
        assert not (tmp_path / "index").exists()
    pipeline = Pipeline()
    pipeline.add_component("retriever", KitRetriever(store))
    again = Pipeline.loads(pipeline.dumps(), allowed_modules=["contextkit"])
    assert again.to_dict() == pipeline.to_dict()


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda s: KitRetriever(s, top_k=0), "top_k"),
        (lambda s: KitRetriever(s, top_k=10_001), "10,000"),
        (lambda s: KitRetriever(s).run("bees", top_k=-1), "k must be"),
        (lambda s: KitRetriever(s).run("bees", top_k=10_001), "10,000"),
        (lambda s: KitRetriever(s).run(" "), "empty"),
        (lambda s: KitRetriever(InMemoryDocumentStore()), "KitDocumentStore, not InMemoryDocumentStore"),
        (lambda s: KitContextBuilder(s, budget=0), "budget"),
        (lambda s: KitContextBuilder(s).run(""), "empty"),
        (
            lambda s: KitContextBuilder(s).run("bees?", history=[ChatMessage.from_assistant(tool_calls=[ToolCall("t", {})])]),
            "message 0",
        ),
        (lambda s: KitDocumentStore(), "either path"),
        (lambda s: KitDocumentStore("a", kit=s.kit), "either path"),
    ],
)
def test_bad_arguments_are_value_errors(store, call, words):
    store.write_documents(DOCS)
    with pytest.raises(ValueError, match=words):
        call(store)


def test_zero_and_ten_thousand(store):
    store.write_documents(DOCS)
    retriever = KitRetriever(store)
    assert retriever.run("bees", top_k=0) == {"documents": []}
    assert len(retriever.run("bees", top_k=10_000)["documents"]) == 2


# ----------------------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("documents", "error"),
    [
        ([Document(content="Fine."), Document(id="x", content="Bad.", meta={"a": {1, 2}})], ValueError),
        ([Document(content="Fine."), Document(id="x", content="Bad.", meta={"a": math.nan})], ValueError),
        ([Document(content="Fine."), Document(id="x", content="Bad.", meta={"a": b"bytes"})], ValueError),
        ([Document(content="Fine."), Document(id="x", content="half \ud800")], ValueError),
        ([Document(content="Fine."), Document(id=" ", content="No id.")], ValueError),
        ([Document(content="Fine."), Document(id="x", content="Bad.", meta={"_haystack": 1})], ValueError),
        ([Document(content="Fine."), Document(id="x", content="Bad.", embedding=[[1.0], [2.0]])], ValueError),
        ([Document(id="x", content="One."), Document(id="x", content="Two.")], DuplicateDocumentError),
        ([Document(content="Fine."), None], ValueError),
        (7, ValueError),
    ],
)
def test_what_cannot_be_written_leaves_nothing_half_written(store, documents, error):
    generation = store.kit.catalog.generation()
    with pytest.raises(error):
        store.write_documents(documents)
    assert store.count_documents() == 0
    assert store.kit.catalog.generation() == generation


def test_dates_in_the_metadata_become_text(store):
    store.write_documents(
        [Document(id="d", content="Dated.", meta={"on": date(2024, 5, 1), "at": datetime(2024, 5, 1, 8, tzinfo=UTC)})]
    )
    assert store.filter_documents()[0].meta == {"on": "2024-05-01", "at": "2024-05-01T08:00:00+00:00"}
    assert store.count_documents_by_filter({"field": "meta.at", "operator": "==", "value": "2024-05-01T10:00:00+02:00"}) == 1


def test_a_document_of_a_connector_is_read_but_not_overwritten(tmp_path, store):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "note.md").write_text("# Note\n\nThe ferry leaves at nine.")
    store.kit.sync(docs)
    (document,) = store.filter_documents()
    assert "ferry" in document.content
    hit = store.search("ferry")[0]
    assert hit.meta["title"] == "Note"
    with pytest.raises(ck.InputError, match="belongs to the source"):
        store.write_documents([Document(id=document.id, content="Mine now.")], policy=DuplicatePolicy.OVERWRITE)
    assert store.filter_documents() == [document]
    assert store.filter_documents({"field": "title", "operator": "==", "value": "Note"}) == [document]


def test_a_principal_sees_and_deletes_its_own_alone(store):
    mine = KitDocumentStore(kit=store.kit, principal="ann", access=["user:ann"])
    mine.write_documents([Document(id="secret", content="Ann's note.")])
    store.write_documents([Document(id="open", content="A note.")])
    assert [d.id for d in store.filter_documents()] == ["open"]
    assert [d.id for d in mine.filter_documents()] == ["secret", "open"]
    assert [d.meta["source_id"] for d in store.search("note")] == ["open"]
    store.delete_documents(["secret"])
    assert mine.count_documents() == 2
    with pytest.raises(DuplicateDocumentError, match="may not see"):
        store.write_documents([Document(id="secret", content="Mine.")], policy=DuplicatePolicy.OVERWRITE)
    store.delete_all_documents()
    assert [d.id for d in mine.filter_documents()] == ["secret"]


def test_a_closed_kit_and_a_read_only_one_say_so(tmp_path, store):
    store.write_documents(DOCS)
    reading = KitDocumentStore(kit=ck.open(tmp_path / "index", embedder=TinyEmbedder(), read_only=True))
    with pytest.raises(ReadOnlyIndex):
        reading.write_documents([Document(content="New.")])
    assert reading.count_documents() == 2
    reading.kit.close()
    for call in (
        reading.count_documents,
        reading.filter_documents,
        lambda: reading.search("bees"),
        lambda: reading.write_documents(DOCS),
        lambda: reading.delete_documents(["hive"]),
    ):
        with pytest.raises(KitClosed):
            call()


def test_writers_in_threads_and_event_loops_lose_nothing(store):
    def write(n):
        return asyncio.run(
            store.write_documents_async(
                [Document(id=f"{n}", content=f"Text of {n}."), Document(id=f"{n}b", content=f"More of {n}.")]
            )
        )

    def same(_):
        try:
            return store.write_documents([Document(id="one", content="Only once.")])
        except DuplicateDocumentError:
            return 0

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write, range(8))) == [2] * 8
        assert sum(pool.map(same, range(8))) == 1
        found = list(pool.map(lambda n: asyncio.run(store.search_async(f"Text of {n}.", top_k=1))[0].content, range(8)))
    assert found == [f"Text of {n}." for n in range(8)]
    assert store.count_documents() == 17


def test_a_store_that_another_process_writes_is_locked_not_broken(tmp_path, store):
    store.write_documents(DOCS)
    with ck.open(tmp_path / "index", embedder=TinyEmbedder(), wait=0.05) as second, ThreadPoolExecutor(1) as pool:
        other = KitDocumentStore(kit=second)
        with store.kit.catalog.writing("long"), pytest.raises(IndexLocked):
            pool.submit(second.add, [ck.Document("x", "New.")]).result()
        assert other.write_documents([Document(id="y", content="Now.")]) == 1
        assert other.count_documents() == 3
    assert store.count_documents() == 3


def test_a_lazily_opened_store_closes_and_opens_again(tmp_path):
    store = KitDocumentStore(tmp_path / "index")
    assert store.count_documents() == 0
    store.write_documents([Document(id="a", content="The gate is open.")])
    store.close()
    assert store.count_documents() == 1
    store.close()


def test_without_the_peer_one_line_names_the_extra():
    code = (
        "import sys; sys.modules['haystack'] = None\n"
        "from contextkit.errors import MissingExtra\n"
        "try:\n    import contextkit.adapters.haystack\n"
        "except MissingExtra as error:\n    print(error.extra, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.startswith("haystack ")
    assert "pip install 'contextkit[haystack]'" in done.stdout
    assert done.stdout.count("\n") == 1
