"""Rerankers: the capped run, what it does to hits and packets, and the real loading of a tiny cross-encoder."""

from __future__ import annotations

import asyncio
import json
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import contextkit as ck
from contextkit import plugins
from contextkit.config import load
from contextkit.context.build import Request, retrieve
from contextkit.context.packet import Receipt
from contextkit.embedding import LocalEmbedder
from contextkit.errors import InputError, RerankerError
from contextkit.protocols import Reranker
from contextkit.retrieval.candidates import Candidates
from contextkit.retrieval.reranking import CrossEncoderReranker, LateInteractionReranker, Reranking, load_reranker
from contextkit.retrieval.scoring import Weights
from contextkit.testing import RerankerContract, TinyEmbedder

WORDS = ["pump", "weighs", "31", "kilograms", "rent", "due", "third", "day", "oil", "spring", "what", "does", "the", "?", "."]
DOCUMENTS = [
    ck.Document("pump", "The pump weighs 31 kilograms and is oiled in spring."),
    ck.Document("rent", "The rent of the hall is due on the third day of each month."),
    ck.Document("bees", "The hive stands behind the barn, and the bees fly until October."),
    ck.Document("keys", "Keys are kept in the office, where the caretaker hands them out.", title="Keys"),
]


class Wished:
    """Scores by a word: 10 where it stands in the text, otherwise the number of spaces over 100. Takes time on its own clock."""

    name = "wished"

    def __init__(self, word="", *, seconds=0.0):
        self.word, self.seconds, self.now, self.calls = word, seconds, 0.0, []

    def clock(self):
        return self.now

    def score(self, question, texts):
        self.calls.append((question, list(texts)))
        self.now += self.seconds * len(texts)
        return np.array([10 if self.word in text else text.count(" ") / 100 for text in texts], np.float32)


@pytest.fixture
def opened(tmp_path):
    kits = []

    def make(reranker=None, **options):
        kit = ck.open(tmp_path / f"index{len(kits)}", embedder=TinyEmbedder(), reranker=reranker, **options)
        kits.append(kit)
        kit.add(DOCUMENTS)
        return kit

    yield make
    for kit in kits:
        kit.close()


def candidates(n):
    """n chunks with falling scores; a reranker is the only one to read them."""
    from contextkit.catalog import StoredChunk

    chunks = [
        StoredChunk(
            **dict.fromkeys(StoredChunk.__dataclass_fields__, 0)
            | {"id": i, "content_id": i, "ordinal": 0, "text": f"text {i}", "header": ""}
        )
        for i in range(n)
    ]
    passage = np.linspace(1, 0.1, n, dtype=np.float32) if n else np.zeros(0, np.float32)
    none = np.zeros(n, np.float32)
    return Candidates(np.zeros(2, np.float32), [], chunks, passage, none, none, none, np.zeros(0), frozenset(), {})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return made(tmp_path_factory.mktemp("cross") / "tiny-judge")


def made(folder, labels=1):
    """A tiny BERT with a head and random weights, saved as sentence-transformers saves a cross-encoder."""
    import torch
    from sentence_transformers import CrossEncoder
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    torch.manual_seed(3)
    bare = folder.parent / f"{folder.name}-bare"
    bare.mkdir(parents=True)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {word: n for n, word in enumerate([*special, *WORDS, *"abcdefghijklmnopqrstuvwxyz"])}
    config = BertConfig(
        vocab_size=len(vocabulary), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=48, num_labels=labels, initializer_range=0.5,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(bare)
    BertTokenizerFast(vocab=vocabulary).save_pretrained(bare)
    CrossEncoder(str(bare), device="cpu", local_files_only=True).save_pretrained(str(folder))
    return folder


# ------------------------------------------------------------------------------------------------------------------ the capped run


def test_without_a_cap_all_are_judged_and_the_best_has_1():
    judge = Wished("text 7")
    found = Reranking(judge, math.inf, clock=judge.clock).rerank(candidates(20), "q", Weights())
    assert found.reranked == 20
    assert found.rerank.dtype == np.float32
    assert found.rerank.tolist() == [float(i == 7) for i in range(20)]
    assert judge.calls[0] == ("q", [])  # readied before the clock counts
    assert [len(texts) for _, texts in judge.calls] == [0, 4, 8, 8]


@pytest.mark.parametrize(("cap", "judged"), [(1, 4), (40, 4), (49, 4), (50, 5), (120, 12), (137, 13), (195, 19), (10_000, 20)])
def test_the_cap_ends_it_and_no_batch_goes_beyond(cap, judged):
    judge = Wished(seconds=0.01)
    judge.now = 100.0  # seconds of any beginning
    found = Reranking(judge, cap + 0.001, clock=judge.clock).rerank(candidates(20), "q", Weights())
    assert found.reranked == judged
    assert found.milliseconds["rerank"] == pytest.approx(10 * judged)
    assert found.milliseconds["rerank"] <= max(40, cap) + 0.001
    assert [text for _, texts in judge.calls for text in texts] == [f"text {i}" for i in range(judged)]


def test_what_was_not_reached_stays_below_in_its_order():
    judge = Wished("text 3", seconds=0.01)
    found = Reranking(judge, 40, clock=judge.clock).rerank(candidates(10), "q", Weights())
    assert found.rerank[4:].tolist() == [0.0] * 6
    order = np.argsort(-found.fused(Weights())).tolist()
    assert order[0] == 3
    assert order[-6:] == [4, 5, 6, 7, 8, 9]


def test_a_share_of_the_cap():
    judge = Wished(seconds=0.01)
    assert Reranking(judge, 200.001, clock=judge.clock).rerank(candidates(20), "q", Weights(), share=0.5).reranked == 10


def test_scores_that_are_all_the_same_change_nothing():
    found = Reranking(Wished("text")).rerank(candidates(3), "q", Weights())
    assert found.rerank.tolist() == [0, 0, 0]


def test_no_candidates_and_nothing_is_asked():
    judge = Wished()
    found = candidates(0)
    assert Reranking(judge).rerank(found, "q", Weights()) is found
    assert judge.calls == []


def test_the_weight_is_what_it_counts():
    found = Reranking(Wished("text 2")).rerank(candidates(3), "q", Weights())
    plain = candidates(3).fused(Weights())
    assert (found.fused(Weights(rerank=0.0)) == plain).all()
    assert (found.fused(Weights()) - plain).tolist() == pytest.approx([0, 0, 0.5])


@pytest.mark.parametrize("cap", [0, -1, math.nan, "200", True, None])
def test_a_cap_that_cannot_work(tmp_path, cap):
    with pytest.raises(InputError, match="rerank_ms must be a number of milliseconds above 0"):
        ck.open(tmp_path / "index", embedder=TinyEmbedder(), reranker=Wished(), rerank_ms=cap)
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("batch", [0, 2.5, True])
def test_a_batch_that_cannot_work(batch):
    with pytest.raises(InputError, match="batch must be a whole number"):
        Reranking(Wished(), batch=batch)


class Broken(Wished):
    """Gives or raises what it is told, for passages."""

    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def score(self, question, texts):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(len(texts))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ZeroDivisionError("by zero"), "the reranker 'wished' failed on 0 passages: ZeroDivisionError: by zero"),
        (lambda n: np.zeros(n + 1), r"scores of shape \(1,\) for 0 passages"),
        (lambda n: np.zeros((n, 2)), r"scores of shape \(0, 2\)"),
        (lambda n: ["good"] * n, "failed on 4 passages: ValueError"),
        (lambda n: np.full(n, np.nan), "no numbers or infinite"),
    ],
)
def test_an_error_in_a_reranker_is_told(opened, answer, message):
    kit = opened(Broken(answer))
    with pytest.raises(RerankerError, match=message):
        kit.context("What does the pump weigh?")
    with pytest.raises(RerankerError, match=message):
        kit.search("What does the pump weigh?")


# --------------------------------------------------------------------------------------------------------------- hits and packets


def test_it_changes_the_order_and_the_receipt_says_so(opened):
    question = "What does the pump weigh?"
    plain, judged = opened(), opened(Wished("bees"), rerank_ms=math.inf)
    assert plain.search(question)[0].document_id == "pump"
    before = next(hit.score for hit in plain.search(question) if hit.document_id == "bees")
    after = next(hit.score for hit in judged.search(question) if hit.document_id == "bees")
    assert after == pytest.approx(before + 0.5, abs=1e-5)
    judged.weights = Weights(rerank=3.0)
    assert judged.search(question)[0].document_id == "bees"
    packet = judged.context(question, budget=200)
    assert packet.items[0].document_id == "bees"
    assert packet.items[0].why == "the reranker says that its passage answers (100% of the best)"
    assert packet.items[0].scores.rerank == 1.0
    assert (packet.receipt.reranker, packet.receipt.reranked) == ("wished", 4)
    assert "rerank" in packet.receipt.milliseconds
    assert packet.receipt.weights["rerank"] == 3.0
    assert judged.receipt() == packet.receipt
    without = plain.context(question, budget=200)
    assert without.items[0].document_id == "pump"
    assert (without.receipt.reranker, without.receipt.reranked, without.items[0].scores.rerank) == ("", 0, 0.0)
    assert "rerank" not in without.receipt.milliseconds


def test_passages_are_read_with_their_header(opened):
    judge = Wished()
    opened(judge, rerank_ms=math.inf).search("Where are the keys?")
    assert any(text.startswith("Keys\nKeys are kept") for _, texts in judge.calls for text in texts)


def test_a_receipt_from_before_is_still_read(opened):
    old = json.loads(opened().context("What does the pump weigh?").receipt.model_dump_json())
    del old["reranker"], old["reranked"], old["weights"]["rerank"]
    for item in old["items"]:
        del item["scores"]["rerank"]
    read = Receipt.model_validate_json(json.dumps(old))
    assert (read.reranker, read.reranked, read.items[0].scores.rerank) == ("", 0, 0.0)


def test_several_questions_are_judged_each_for_itself(opened):
    judge = Wished("bees")
    kit = opened(judge, rerank_ms=math.inf)
    found = retrieve(kit._reader(), Request("What does the pump weigh? When is the rent due?", 500)).found
    assert [question for question, texts in judge.calls if not texts] == ["What does the pump weigh?", "When is the rent due?"]
    assert found.reranked == 8
    bees = next(n for n, chunk in enumerate(found.chunks) if "bees" in chunk.text)
    assert found.rerank.shape == (4,)
    assert found.rerank[bees] == 1.0
    assert kit.search("What does the pump weigh? When is the rent due?", k=4)


def test_an_agent_call_and_its_k_best_passages(opened):
    kit = opened(Wished("bees"), rerank_ms=math.inf)
    kit.weights = Weights(rerank=5.0)
    packet = kit.build(ck.AgentCall(question="What does the pump weigh?", k=1, model="gpt-4o"))
    assert {citation.document_id for citation in packet.receipt.citations} == {"bees"}


def test_an_empty_index(tmp_path):
    judge = Wished()
    with ck.open(tmp_path / "index", embedder=TinyEmbedder(), reranker=judge) as kit:
        assert kit.search("Anything?") == []
        assert kit.search("Who is Ann? Where is Bob?") == []
        packet = kit.context("Who is Ann? Where is Bob?")
    assert (packet.text, packet.receipt.reranked, judge.calls) == ("", 0, [])


def test_the_asyncio_kit_has_it_too(tmp_path):
    async def main():
        async with await ck.AsyncKit.open(
            tmp_path / "index", embedder=TinyEmbedder(), reranker=Wished("bees"), rerank_ms=math.inf
        ) as kit:
            await kit.add(DOCUMENTS)
            return await kit.context("pump")

    assert asyncio.run(main()).receipt.reranked == 4


# --------------------------------------------------------------------------------------------------------------- the cross-encoder


def test_a_cross_encoder_scores_as_sentence_transformers_does(folder):
    import torch
    from sentence_transformers import CrossEncoder

    judge = CrossEncoderReranker(folder, device="cpu")
    assert isinstance(judge, Reranker)
    assert judge.name == "tiny-judge"
    assert judge.score("what", []).shape == (0,)
    texts = ["the pump weighs 31 kilograms.", "the rent", "", "oil " * 500]
    found = judge.score("what does the pump weigh?", texts)
    model = CrossEncoder(str(folder), device="cpu", local_files_only=True)
    expected = model.predict([("what does the pump weigh?", t) for t in texts], activation_fn=torch.nn.Identity())
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert len(set(found.round(4).tolist())) == 4
    alone = np.concatenate([judge.score("what does the pump weigh?", [text]) for text in texts])
    np.testing.assert_allclose(alone, found, atol=1e-4)
    assert np.isfinite(judge.score("what " * 50_000, texts)).all()


def test_a_cross_encoder_in_threads(folder):
    judge = CrossEncoderReranker(folder, device="cpu", max_length=16)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: judge.score("what?", ["the pump", "the rent is due the third day"]), range(12)))
    assert all((one == found[0]).all() for one in found)


def test_a_cross_encoder_by_its_folder(folder, tmp_path):
    with ck.open(tmp_path / "index", embedder=TinyEmbedder(), reranker=str(folder), rerank_ms=math.inf) as kit:
        kit.add(DOCUMENTS)
        packet = kit.context("what does the pump weigh?")
    assert (packet.receipt.reranker, packet.receipt.reranked) == ("tiny-judge", 4)
    assert max(item.scores.rerank for item in packet.items) == 1.0


def test_folders_that_hold_no_cross_encoder(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RerankerError, match="is none: give a folder on this machine, nothing is downloaded"):
        ck.open(tmp_path / "index", reranker="cross-encoder/ms-marco-MiniLM-L6-v2")
    assert not (tmp_path / "index").exists()
    with pytest.raises(RerankerError, match=r"has no config\.json"):
        load_reranker(tmp_path / "empty", TinyEmbedder())
    for text, message in (("{", "cannot be read"), ("[]", "cannot be read"), ("{}", "of the kind unknown"),
                          ('{"architectures": ["BertModel"]}', "of the kind BertModel, which gives no scores")):  # fmt: skip
        (tmp_path / "empty" / "config.json").write_text(text, encoding="utf-8")
        with pytest.raises(RerankerError, match=message):
            CrossEncoderReranker(tmp_path / "empty")
    (tmp_path / "empty" / "config.json").write_bytes((folder / "config.json").read_bytes())
    with pytest.raises(RerankerError, match="empty' does not load"):
        CrossEncoderReranker(tmp_path / "empty").score("what?", [])
    (tmp_path / "empty" / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(RerankerError, match="empty' does not load"):
        CrossEncoderReranker(tmp_path / "empty").score("what?", [])
    with pytest.raises(InputError, match="at least 8 pieces"):
        CrossEncoderReranker(folder, max_length=3)


def test_a_model_with_several_labels_is_refused(tmp_path):
    with pytest.raises(RerankerError, match="gives 3 numbers for a pair"):
        CrossEncoderReranker(made(tmp_path / "three", labels=3), device="cpu").score("what?", ["the pump"])


# --------------------------------------------------------------------------------------------------------------- late interaction


def test_late_interaction_finds_the_words():
    judge = LateInteractionReranker(LocalEmbedder(precision="float32", backend="torch"))
    assert isinstance(judge, Reranker)
    assert judge.name == "late-interaction (all-MiniLM-L6-v2)"
    assert judge.score("What does it weigh?", []).shape == (0,)
    texts = ["The pump has a weight of 31 kilograms.", "The hive stands behind the barn.", "", "barn " * 2000]
    found = judge.score("How heavy is the pump?", texts)
    assert found.dtype == np.float32
    assert found[0] > found[1] > found[2] == -1
    assert found[0] <= 1 + 1e-5
    np.testing.assert_allclose(judge.score("How heavy is the pump?", texts[:1]), found[:1], atol=1e-4)
    assert judge.score("pump", ["pump"])[0] == pytest.approx(1, abs=1e-4)
    assert judge.score(" ", ["pump"]).tolist() == [-1]
    assert np.isfinite(judge.score("weight " * 3000, texts)).all()


def test_late_interaction_needs_sentence_vectors():
    class Plain(TinyEmbedder):
        @property
        def info(self):
            from dataclasses import replace

            return replace(super().info, sentences=False)

    with pytest.raises(InputError, match="needs an embedder with sentence vectors"):
        LateInteractionReranker(Plain()).score("what?", ["pump"])


# ------------------------------------------------------------------------------------------------------------- naming a reranker


def test_what_a_setting_names(folder, tmp_path, monkeypatch):
    embedder = TinyEmbedder()
    judge = Wished()
    assert load_reranker(None, embedder) is None
    assert load_reranker(judge, embedder) is judge
    assert isinstance(load_reranker("late-interaction", embedder), LateInteractionReranker)
    assert isinstance(load_reranker(str(folder), embedder), CrossEncoderReranker)
    assert isinstance(load_reranker(folder, embedder), CrossEncoderReranker)
    with pytest.raises(InputError, match=r"the given object \(int\) is no reranker: it has no name, score"):
        load_reranker(7, embedder)
    from importlib.metadata import EntryPoint

    entry = EntryPoint("wished", f"{__name__}:Wished", "contextkit.rerankers")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [entry] if group == "contextkit.rerankers" else [])
    monkeypatch.setattr(EntryPoint, "load", lambda _: Wished)
    plugins.clear()
    try:
        assert load_reranker("wished", embedder).word == ""
        assert load_reranker("wished:bees", embedder).word == "bees"
    finally:
        plugins.clear()


def test_the_setting_and_the_option(folder, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from contextkit.cli.app import app

    for name in ("CONTEXTKIT_RERANKER", "CONTEXTKIT_RERANK_MS", "CONTEXTKIT_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "judge").symlink_to(folder)
    (tmp_path / "contextkit.toml").write_text('reranker = "judge"\nrerank_ms = 60000.0\nindex = "index"\n', encoding="utf-8")
    assert (load().reranker, load().rerank_ms) == (str(tmp_path / "judge"), 60_000)
    assert load(reranker="late-interaction").reranker == "late-interaction"
    with ck.open(tmp_path / "index") as kit:
        kit.add(DOCUMENTS)
    asked = ["context", "What does the pump weigh?", "--json"]
    by_file = json.loads(CliRunner().invoke(app, asked).stdout)
    assert (by_file["receipt"]["reranker"], by_file["receipt"]["reranked"]) == ("tiny-judge", 4)
    by_flag = json.loads(CliRunner().invoke(app, [*asked, "--reranker", "late-interaction"]).stdout)
    assert by_flag["receipt"]["reranker"] == "late-interaction (all-MiniLM-L6-v2)"
    hits = json.loads(CliRunner().invoke(app, ["search", "pump", "--json", "--reranker", "late-interaction"]).stdout)["hits"]
    assert hits[0]["document_id"] == "pump"


class TestCrossEncoder(RerankerContract):
    """Our own cross-encoder keeps the rules that a plug-in has to keep."""

    @pytest.fixture(autouse=True)
    def _folder(self, folder):
        self.folder = folder

    def reranker(self):
        return CrossEncoderReranker(self.folder, device="cpu")


class TestLateInteraction(RerankerContract):
    """And so does late interaction."""

    def reranker(self):
        return LateInteractionReranker(TinyEmbedder())


class _Beside(LateInteractionReranker):
    """Scores that depend on what else is judged."""

    def score(self, question, texts):
        found = super().score(question, texts)
        return found - found.mean() if len(found) else found


def test_the_contract_finds_scores_that_depend_on_each_other():
    contract = RerankerContract()
    contract.reranker = lambda: _Beside(TinyEmbedder())
    with pytest.raises(AssertionError):
        contract.test_a_score_is_its_own()
