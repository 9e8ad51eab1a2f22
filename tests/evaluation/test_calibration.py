"""The confidence refitted: known odds are found again, what is given is held to, and adopting needs the held-out questions."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import contextkit as ck
from contextkit.context.build import confidence
from contextkit.evaluation.calibration import NAMES, Signs, better, calibrated, quality, signs_of
from contextkit.evaluation.questions import Asked, Judged
from contextkit.evaluation.report import Verdict
from contextkit.evaluation.tuning import LEAST, parted, recalibrated
from contextkit.retrieval.scoring import Weights
from contextkit.retrieval.weights import own
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for

TRUE = Weights(confidence_base=-4.0, confidence_passage=6.0, confidence_sentence=3.0, confidence_covered=0.0)


def drawn(questions, seed, weights=TRUE):
    """Signs of two budgets, and answers that are there as often as these weights say."""
    made = np.random.default_rng(seed)
    columns = np.ones((questions, 2, 4))
    columns[:, :, 1:] = made.uniform(0, 1, (questions, 1, 3)) + made.normal(0, 0.01, (questions, 2, 3))
    numbers = np.array([getattr(weights, name) for name in NAMES])
    odds = columns[:, 0] @ numbers
    return Signs(columns, made.uniform(size=questions) < 1 / (1 + np.exp(-odds)))


def test_known_odds_are_found_again():
    seen, held = drawn(2000, 0), drawn(2000, 1)
    found = calibrated(seen, Weights())
    for name in NAMES:
        assert getattr(found, name) == pytest.approx(getattr(TRUE, name), abs=0.9), name
    assert found.confidence_covered >= 0.0
    old, new, best = (quality(held, one) for one in (Weights(), found, TRUE))
    assert new.ece < 0.03 < old.ece
    assert new.auroc == pytest.approx(best.auroc, abs=0.01)
    assert better(old, new).low > 0
    assert better(best, new).mean < 0.001
    assert found == calibrated(seen, Weights())
    assert found.passage == Weights().passage  # nothing else moves


def test_few_questions_move_it_little():
    far = [abs(calibrated(drawn(n, 2), Weights()).confidence_base - TRUE.confidence_base) for n in (8, 400)]
    near = abs(Weights().confidence_base - TRUE.confidence_base)
    assert far[1] < near
    one_sided = Signs(drawn(40, 3).columns, np.ones(40, np.bool_))  # nothing but answers: sure, but not beyond all measure
    assert np.isfinite([getattr(calibrated(one_sided, TRUE), name) for name in NAMES]).all()


def test_quality_of_what_is_known():
    columns = np.zeros((4, 1, 4))
    columns[:, 0, 0] = 1
    columns[:, 0, 1] = [3.0, 1.0, 2.0, -1.0]
    weights = Weights(confidence_base=0.0, confidence_passage=1.0, confidence_sentence=0.0, confidence_covered=0.0)
    seen = Signs(columns, np.array([True, True, False, False]))
    found = quality(seen, weights)
    sure = 1 / (1 + np.exp(-columns[:, 0, 1]))
    assert found.auroc == 0.75
    assert found.losses == pytest.approx(-np.log([sure[0], sure[1], 1 - sure[2], 1 - sure[3]]))
    assert found.ece == pytest.approx(np.abs([1 - sure[0], 1 - sure[1], sure[2], sure[3]]).sum() / 4, abs=0.1)
    columns[0] = np.nan  # an empty packet: never sure
    empty = quality(seen, weights)
    assert empty.losses[0] == pytest.approx(-np.log(5e-4))
    assert empty.auroc == 0.25


@pytest.fixture(scope="module")
def asked(judged):
    """Half of the questions are of devices that are in no note."""
    unanswered = [Judged(question=one.question.replace("K0", "Q7").replace("parts", "wheels")) for one in judged]
    return [*judged, *unanswered]


def test_signs_are_what_packets_say(kit, judged):
    some = [Asked(one, one.gold) for one in judged[:6]] + [Asked(Judged(question="Anything?", where={"no": 1}), ())]
    found = signs_of(kit._reader(), some, (60, 200), counter_for(None))
    assert found.answered.tolist() == [True] * 6 + [False]
    for one, row in zip(some, found.columns, strict=True):
        for budget, values in zip((60, 200), row, strict=True):
            packet = kit.context(one.judged.question, budget=budget, where=one.judged.where)
            expected = 0.0 if np.isnan(values).any() else confidence(kit.weights, *values[1:].tolist())
            assert packet.confidence == expected
    assert np.isnan(found.columns[-1]).all()


def test_the_confidence_is_adopted_by_itself(kit, folder, judged, asked):
    first = kit.tune(judged, budgets=(120,))
    assert (first.verdict, first.confidence) == (Verdict.ADOPTED, None)
    fine = kit.weights
    second = kit.tune(asked, budgets=(120,))
    found = second.confidence
    assert (second.verdict, found.verdict) == (Verdict.KEPT, Verdict.ADOPTED), found.reason
    assert found.after.log_loss < found.before.log_loss
    assert found.difference.low > 0
    parts = parted(kit._reader(), asked)
    assert (found.answered, found.unanswered) == (len(parts.judge), len(parts.none_judge))
    assert second.unanswered == len(asked) // 2
    assert {name: getattr(kit.weights, name) for name in NAMES} == found.numbers_after
    assert kit.weights == replace(fine, **found.numbers_after)  # the weights adopted before are as they were
    entries = own(folder, kit.embedder.info.digest).provenance
    assert [entry.of for entry in entries] == [tuple(first.after), NAMES]
    with ck.open(folder, embedder=TinyEmbedder(dimension=4), read_only=True) as again:
        assert again.weights == kit.weights


def test_too_few_without_an_answer(kit, judged, asked):
    few = [*judged, *asked[len(judged) : len(judged) + LEAST]]
    parts = parted(kit._reader(), few)
    assert len(parts.none_tune) + len(parts.none_judge) == LEAST
    assert recalibrated(kit._reader(), parts, (120,), counter_for(None)) is None


def test_the_command_line_says_so(tmp_path, folder, asked, monkeypatch, capsys):
    from contextkit.cli.app import run

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("contextkit.kit.verbs.load_embedder", lambda *_, **__: TinyEmbedder(dimension=4))
    path = tmp_path / "asked.jsonl"
    path.write_text("".join(json.dumps(one.model_dump(exclude_defaults=True)) + "\n" for one in asked), encoding="utf-8")
    assert run(["tune", str(path), "--index", str(folder), "--budget", "120"]) == 0
    out = capsys.readouterr().out
    assert "adopted: evidence rises by more than noise" in out
    assert "adopted: the confidence is better by more than noise: log-loss" in out
    assert "AUROC" in out
    entries = own(folder, TinyEmbedder(dimension=4).info.digest).provenance  # both at once
    assert [set(entry.of) & set(NAMES) for entry in entries] == [set(), set(NAMES)]
