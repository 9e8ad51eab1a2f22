"""A trained embedder: a tiny BERT that knows nothing learns a small corpus, is judged, and is an ordinary model's folder."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
from dataclasses import replace

import numpy as np
import pytest

import contextkit as ck
from contextkit.catalog import StoredChunk
from contextkit.embedding import LocalEmbedder
from contextkit.errors import EmbedderError, InputError
from contextkit.evaluation import finetune
from contextkit.evaluation.examples import NEGATIVES, Example, Passage, Reading, batches, examples
from contextkit.evaluation.finetune import Training, train
from contextkit.evaluation.questions import Judged
from contextkit.evaluation.report import Verdict
from contextkit.evaluation.tuning import parted
from contextkit.retrieval.scoring import Weights

_PAIRS = (
    ("cooling", "refrigeration"), ("wages", "remuneration"), ("holiday", "vacation"), ("fault", "malfunction"),
    ("buying", "procurement"), ("staff", "personnel"), ("moving", "relocation"), ("cleaning", "sanitation"),
    ("doctor", "physician"), ("lawyer", "attorney"), ("rain", "precipitation"), ("speed", "velocity"),
)  # fmt: skip
_ASIDE = tuple("amber birch cedar delta ember flint grove heath inlet jetty knoll ledge".split())
_FORMS = ("rules of {} ?", "part {} ?", "see {}", "which of {} ?", "in {} which part ?", "which rules of {} in part ?")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A folder with an untrained BERT of one small layer and a vocabulary of words."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    text = " ".join([*map(" ".join, _PAIRS), "which rules of in see part ?", *_ASIDE])
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(text.lower().split()), *map(str, range(10))]
    (folder / "vocab.txt").write_text("\n".join([*words, *(f"##{n}" for n in range(10))]), encoding="utf-8")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = BertModel(
            BertConfig(
                vocab_size=len(words) + 10, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
                max_position_embeddings=64,
            )
        )  # fmt: skip
    model.save_pretrained(folder / "bert")
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    parts = [Transformer(str(folder / "bert"), max_seq_length=64), Pooling(32), Normalize()]
    SentenceTransformer(modules=parts, device="cpu").save_pretrained(str(folder / "tiny"), create_model_card=False)
    return folder / "tiny"


@pytest.fixture(scope="module")
def indexed(tiny, tmp_path_factory):
    """(folder of its index, judged questions): each answer says in other words what its question asks."""
    folder = tmp_path_factory.mktemp("synonyms") / "index"
    documents, judged = [], []
    for n, (plain, learned) in enumerate(_PAIRS):
        answer = f"{learned} see part {n}"
        documents.append(ck.Document(f"about-{plain}", answer))
        judged += [Judged(question=form.format(plain), gold=(answer,)) for form in _FORMS]
    documents += [ck.Document(f"aside-{a}-{b}", f"{a} {b} see part 7") for a in _ASIDE for b in _ASIDE[:4] if a != b]
    with ck.open(folder, embedder=LocalEmbedder(tiny, backend="torch", precision="float32")) as kit:
        kit.add(documents)
    return folder, judged


@pytest.fixture
def local(indexed, tiny, tmp_path):
    """(an own copy of that kit, the questions)."""
    folder = shutil.copytree(indexed[0], tmp_path / "index")
    with ck.open(folder, embedder=LocalEmbedder(tiny, backend="torch", precision="float32")) as kit:
        # no word of a question stands in its answer
        kit.weights = Weights(coverage=0.0, document=0.0, sentence_lexical=0.0, phrase=0.0)
        yield kit, indexed[1]


def test_examples_hold_what_answers_and_what_does_not(local):
    kit, judged = local
    parts = parted(kit._reader(), judged)
    found = examples(kit._reader(), kit.embedder, parts.tune)
    assert len(found) == len(parts.tune)
    by_question = {one.question: one.gold[0] for one in judged}
    for example in found:
        assert example.positive.text == "\n" + by_question[example.question]
        assert example.answers == (0,)
        assert len(set(example.negatives)) == NEGATIVES
        assert example.positive not in example.negatives
    nowhere = [Judged(question="which ?", gold=("stands nowhere",))]
    from contextkit.evaluation.questions import looked_up

    assert examples(kit._reader(), kit.embedder, looked_up(kit.catalog, nowhere)) == []


def test_a_passage_is_read_as_the_index_reads_it(tiny, tmp_path):
    """Vectors of the training's own pass are those in the index: header, link addresses, windows and sentences alike."""
    from contextkit.evaluation.finetune import _loaded, _Net

    embedder = LocalEmbedder(tiny, backend="torch", precision="float32")
    body = "wages see remuneration. [rain](http://part/rain) see precipitation.\n\n" + "rules of moving see part 3. " * 30
    with ck.open(tmp_path / "index", embedder=embedder) as kit:
        kit.add([ck.Document("d", f"# Rules of rain\n\n{body}", title="See part")])
        chunks = kit.catalog.chunks_of(kit.catalog.document("d").content_id)
        assert len(chunks) > 2
        assert all(chunk.header for chunk in chunks)
        reading = Reading(embedder)
        passages = reading.passages(chunks)
        assert reading.passages(chunks[:1])[0] is passages[0]
        assert max(len(one.ids) for one in passages) <= embedder.info.window
        net = _Net(_loaded(tiny))
        whole, inner = (vectors.detach().numpy() for vectors in net.passages(passages))
        from contextkit.evaluation.examples import _chunk

        made = embedder.embed([_chunk(chunk) for chunk in chunks])
        assert inner.shape == made.sentences.shape
        assert (whole * made.passages).sum(axis=1).min() > 0.999
        assert (inner * made.sentences).sum(axis=1).min() > 0.999
        asked = ["which rules of rain ?", "see part " * 100]
        ids = [reading.question(one) for one in asked]
        assert [len(one) for one in ids] == [7, embedder.info.window]
        found = net.questions(ids[:1]).detach().numpy()
        assert (found * embedder.embed_queries(asked[:1])).sum() > 0.999


def test_the_gradient_of_parts_is_that_of_the_whole(tiny, monkeypatch):
    """Memory is bounded by taking few passages at a time, which must not change what is learned."""
    import torch

    from contextkit.evaluation.finetune import _learned, _loaded, _Net

    found = []
    for at_once in (10_000, 12):
        monkeypatch.setattr(finetune, "_AT_ONCE", at_once)
        monkeypatch.setattr(finetune, "_arithmetic", lambda _: contextlib.nullcontext())
        net = _Net(_loaded(tiny))
        net.model.eval()
        loss = _learned(net, learn(tiny), 1.0)
        found.append((loss, torch.cat([p.grad.ravel() for p in net.model.parameters() if p.grad is not None])))
    (one, whole), (other, parts) = found
    assert one == pytest.approx(other, rel=1e-5)
    assert whole.norm() > 0.01
    assert torch.allclose(whole, parts, atol=1e-5)
    no_sentence = [replace(e, answers=()) for e in learn(tiny)]  # an answer that runs over sentences: the passage alone teaches
    assert 0 < _learned(net, no_sentence, 1.0) < one


def test_what_is_written_lies_between_the_model_and_the_trained_one(tiny, tmp_path):
    from safetensors.numpy import load_file

    def weights(folder):
        return load_file(next(folder.rglob("model.safetensors")))

    made = {}
    for mix in (0.0, 0.5, 1.0):
        train(tiny, tmp_path / str(mix), learn(tiny), Training(epochs=1, rate=1e-3, mix=mix))
        made[mix] = weights(tmp_path / str(mix))
    before = weights(tiny)
    moved = 0
    for name, value in before.items():
        assert (made[0.0][name] == value).all()
        assert made[0.5][name] == pytest.approx((value + made[1.0][name]) / 2, abs=1e-6)
        moved += int((made[1.0][name] != value).any())
    assert moved > 10


def test_no_text_stands_twice_in_a_batch():
    made = random.Random(1)
    none = np.zeros(1, np.int32)

    def passage(text):
        return Passage(text, none, none, 1)

    learn = [
        Example(f"q{n // 2}", none, passage(f"p{n // 3}"), (0,), tuple(passage(f"n{made.randrange(40)}-{k}") for k in range(3)))
        for n in range(60)
    ]
    found = batches(learn, 8, 0)
    assert sorted(e.question for batch in found for e in batch) == sorted(e.question for e in learn)
    assert max(map(len, found)) == 8
    for batch in found:
        positives = [e.positive for e in batch]
        assert len(set(positives)) == len(positives)
        assert not set(positives) & {n for e in batch for n in e.negatives}
        assert len({e.question for e in batch}) == len(batch)
    assert batches(learn, 8, 0) == found != batches(learn, 8, 1)


def test_an_embedder_that_learned_is_adopted(local, tmp_path, monkeypatch):
    kit, judged = local
    monkeypatch.setattr(finetune, "Training", lambda: Training(epochs=12, batch=12, rate=3e-3, mix=1.0))
    files, generation, out = sorted(p.name for p in kit.catalog.folder.iterdir()), kit.catalog.generation(), tmp_path / "trained"
    stages = set()
    report = kit.tune(judged, embedder=out, budgets=(50,), progress=lambda stage, *_: stages.add(stage))
    assert report.verdict is Verdict.ADOPTED, report.reason
    assert (report.what, report.file, report.after) == ("embedder", str(out), {})
    assert report.next == f"contextkit index reembed --embedder {out} --index {kit.catalog.folder}"
    assert {"collect", "train", "embed", "judge", "compare"} <= stages
    assert (sorted(p.name for p in kit.catalog.folder.iterdir()), kit.catalog.generation()) == (files, generation)
    info = LocalEmbedder(out).info
    assert (info.name, info.dimension) == ("trained", 32)
    assert info.digest != kit.embedder.info.digest
    kit.reembed(str(out))  # what `next` does
    assert kit.info().embedder == "trained"
    assert kit.context(judged[0].question, budget=50).text


def test_an_embedder_that_learned_nothing_is_not(local, tmp_path, monkeypatch):
    kit, judged = local
    monkeypatch.setattr(finetune, "Training", lambda: Training(epochs=1, rate=1e-9))
    report = kit.tune(judged, embedder=tmp_path / "same", budgets=(50,), dry_run=True)
    assert (report.verdict, report.next) == (Verdict.KEPT, "")
    assert (tmp_path / "same" / "modules.json").is_file()


def learn(tiny, count=6):
    """Examples of two sentences, the second of which answers."""
    reading = Reading(LocalEmbedder(tiny))

    def passage(first, second):
        spans = (ck.Span(0, len(first)), ck.Span(len(first) + 1, len(first) + 1 + len(second)))
        whole = f"{first} {second}"
        stored = StoredChunk(0, 0, 0, 0, len(whole), whole, "", np.array([(s.start, s.end) for s in spans]), None, "paragraph")
        return reading.passages([stored])[0]

    wrong = tuple(passage("rules of", text) for text in ("rain", "rome", "part"))
    return [
        Example(f"which {p} ?", reading.question(f"which {p} ?"), passage("part 3", r), (1,), wrong) for p, r in _PAIRS[:count]
    ]


def test_training_is_the_same_every_time_and_leaves_the_model_and_torch_alone(tiny, tmp_path):
    import torch

    before, state = LocalEmbedder(tiny).info.digest, torch.random.get_rng_state()
    told = []
    how = Training(epochs=3, batch=4, rate=1e-3)
    first = train(tiny, tmp_path / "a", learn(tiny), how, lambda *one: told.append(one))
    second = train(tiny, tmp_path / "b", learn(tiny), how)
    assert first == second
    assert first[-1] < first[0]
    assert [one[1] for one in told] == list(range(told[0][2] + 1))
    assert {(one[0], one[2]) for one in told} == {("train", len(told) - 1)}
    assert LocalEmbedder(tmp_path / "a").info.digest == LocalEmbedder(tmp_path / "b").info.digest != before
    assert LocalEmbedder(tiny).info.digest == before
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_folder_that_cannot_be_made(local, tiny, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("x")
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    kit, judged = local
    for name in ("full", "file", "full/file"):
        with pytest.raises(InputError, match="exists already: name a new folder"):
            kit.tune(judged, embedder=tmp_path / name, budgets=(50,))
    train(tiny, tmp_path / "empty", learn(tiny), Training(epochs=1))
    assert json.loads((tmp_path / "empty" / "modules.json").read_text())


def test_a_training_that_fails_leaves_nothing(tiny, tmp_path):
    with pytest.raises(InputError, match="1 examples are too few to train"):
        train(tiny, tmp_path / "out", learn(tiny, 1))
    with pytest.raises(EmbedderError, match="does not load for training"):
        train(tmp_path / "none", tmp_path / "out", learn(tiny))

    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    table = StaticEmbedding(Tokenizer.from_file(str(tiny / "tokenizer.json")), embedding_dim=8)
    SentenceTransformer(modules=[table], device="cpu").save_pretrained(str(tmp_path / "static"), create_model_card=False)
    with pytest.raises(EmbedderError, match="a model made of StaticEmbedding is not trained here"):
        train(tmp_path / "static", tmp_path / "out", learn(tiny))

    def stop(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(tiny, tmp_path / "out", learn(tiny), Training(epochs=1), stop)
    with pytest.raises(EmbedderError, match="a loss that is no number"):
        train(tiny, tmp_path / "out", learn(tiny), Training(epochs=2, rate=float("inf")))
    assert [p.name for p in tmp_path.iterdir() if "out" in p.name] == []


def test_a_tuning_that_is_interrupted_leaves_nothing(local, tmp_path, monkeypatch):
    kit, judged = local
    monkeypatch.setattr(finetune, "Training", lambda: Training(epochs=1))
    for at in ("train", "embed", "judge"):

        def stop(stage, *_, at=at):
            if stage == at:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            kit.tune(judged, embedder=tmp_path / "out", budgets=(50,), progress=stop)
        assert [p.name for p in tmp_path.iterdir()] == ["index"], at


def test_what_training_needs_is_not_installed(local, tmp_path, monkeypatch):
    import sys

    kit, judged = local
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(EmbedderError, match="needs the package 'sentence-transformers', which is not installed"):
        kit.tune(judged, embedder=tmp_path / "out", budgets=(50,))
    assert [p.name for p in tmp_path.iterdir()] == ["index"]


def test_an_embedder_that_is_no_model_here(kit, judged, tmp_path):
    with pytest.raises(InputError, match="the embedder 'tiny' is no model on this machine and cannot be trained"):
        kit.tune(judged, embedder=tmp_path / "out")
    assert not (tmp_path / "out").exists()
