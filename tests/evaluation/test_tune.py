"""`Kit.tune`: what helps is adopted, what does not is not, and nothing is written on the way."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import pytest

import contextkit as ck
from contextkit.errors import IndexLocked, InputError, ReadOnlyIndex
from contextkit.evaluation.questions import GoldSpan, Judged, from_receipts, held_out, looked_up
from contextkit.evaluation.report import Verdict
from contextkit.evaluation.tuning import LEAST, evidence, parted
from contextkit.retrieval.scoring import Weights
from contextkit.retrieval.weights import file_name, own
from contextkit.testing import TinyEmbedder
from contextkit.tokens import counter_for

BUDGETS = (50, 120)


def _last_run(folder):
    with closing(sqlite3.connect(folder / "catalog.sqlite")) as rows:
        return rows.execute("SELECT verb, outcome FROM runs ORDER BY id DESC LIMIT 1").fetchone()


def test_weights_that_help_are_adopted_and_used(kit, folder, judged):
    stages = []
    report = kit.tune(judged, budgets=BUDGETS, progress=lambda *told: stages.append(told))
    assert (report.verdict, report.what) == (Verdict.ADOPTED, "weights")
    assert report.difference.low > 0
    assert report.reason.startswith("evidence rises by more than noise: +")
    assert report.held_out.questions + report.tuned.questions == report.questions == len(judged)
    assert report.held_out.questions == sum(held_out(one.question) for one in judged)
    assert all(report.held_out.after[b] > report.held_out.before[b] for b in BUDGETS)
    mean = sum(report.held_out.after[b] - report.held_out.before[b] for b in BUDGETS) / 2
    assert report.difference.mean == pytest.approx(mean, abs=0.02)
    assert report.after["passage"] < report.before["passage"] == 1.0  # the cosines are noise here
    digest = kit.embedder.info.digest
    assert report.file == str(folder / file_name(digest))
    stored = own(folder, digest)
    assert {name: number.value for name, number in stored.numbers.items()} == report.after
    (told,) = stored.provenance
    assert (told.questions, told.embedder, told.digest) == (report.tuned.questions, "tiny", digest)
    assert told.objective == "smoothed evidence in packets of 50 and 120 tokens"
    assert list(told.figures.values()) == pytest.approx(
        [sum(x.values()) / 2 for x in (report.held_out.before, report.held_out.after)], abs=0.01
    )
    assert kit.weights == stored.weights()
    with ck.open(folder, embedder=TinyEmbedder(dimension=4)) as again:
        assert again.weights == kit.weights
    assert {stage for stage, _, _ in stages} == {"collect", "judge", "compare"}
    assert all(done <= total for _, done, total in stages)
    assert _last_run(folder) == ("tune", "done")
    assert kit.receipts() == []  # what is measured leaves none


def test_weights_that_do_not_help_are_not_adopted(kit, folder, judged):
    kit.weights = fine = Weights(passage=0.05, coverage=1.0, sentence=0.05, sentence_lexical=1.0, phrase=0.0, neighbour=0.0)
    before = sorted(path.name for path in folder.iterdir())
    report = kit.tune(judged, budgets=(120,))
    assert report.verdict is Verdict.KEPT
    assert report.reason.startswith("evidence does not rise")
    assert f"on {report.held_out.questions} held-out questions, 90% range" in report.reason
    assert (report.file, kit.weights) == ("", fine)
    assert sorted(path.name for path in folder.iterdir()) == before


def test_a_dry_run_writes_nothing_and_finds_the_same(kit, folder, judged):
    with ck.open(folder, embedder=TinyEmbedder(dimension=4), read_only=True) as reading:
        report = reading.tune(judged, budgets=(120,), dry_run=True)
        assert (report.verdict, report.dry_run, report.file) == (Verdict.ADOPTED, True, "")
        assert reading.weights == Weights()
        with pytest.raises(ReadOnlyIndex, match="weights cannot be adopted; ask for a dry run"):
            reading.tune(judged)
    assert list(folder.glob("weights*")) == []
    same = {"seconds": 0.0, "file": "", "dry_run": True}
    assert kit.tune(judged, budgets=(120,)).model_copy(update=same) == report.model_copy(update=same)


def test_another_writer_keeps_it_from_adopting(folder, judged):
    with (
        ck.open(folder, embedder=TinyEmbedder(dimension=4)) as first,
        ck.open(folder, embedder=TinyEmbedder(dimension=4), wait=0.0) as kit,
        first.catalog.writing("sync"),
        pytest.raises(IndexLocked),
    ):
        kit.tune(judged, budgets=(120,))
    assert list(folder.glob("weights*")) == []


def test_too_few_to_judge_by(kit, judged):
    with pytest.raises(InputError, match=f"too few to judge: of 10 judged questions .*{LEAST} of each are needed"):
        kit.tune(judged[:10])
    unanswered = [Judged(question=one.question) for one in judged]
    with pytest.raises(InputError, match="of 0 judged questions with an answer"):
        kit.tune(unanswered)


def test_gold_that_is_in_no_candidate(kit, judged):
    nowhere = [one.model_copy(update={"gold": ("words that stand nowhere at all in it",)}) for one in judged]
    with pytest.raises(InputError, match="nothing to fit: of none of the .* tuning questions any gold text is found"):
        kit.tune(nowhere)


@pytest.mark.parametrize("budgets", [(), (0,), (-5,), (True,), (1.5,), ("512",)])
def test_budgets_that_cannot_work(kit, judged, budgets):
    with pytest.raises(InputError, match="budgets are positive whole numbers of tokens"):
        kit.tune(judged, budgets=budgets)


def test_a_budget_below_a_citation(kit, judged):
    with pytest.raises(InputError, match="a budget of 2 tokens is below"):
        kit.tune(judged, budgets=(2,))


def test_nothing_given(kit):
    with pytest.raises(InputError, match="nothing to tune on"):
        kit.tune()
    with pytest.raises(InputError, match="are of the kind Judged, not str"):
        kit.tune(["What?"])


def test_rights_and_filters_are_obeyed(kit):
    code = "The safe of the lobby opens with the code 4711."
    kit.add([ck.Document("secret", code, access=["user:ann", "group:board"], metadata={"team": "hall"})])
    hidden = Judged(question="Which code opens the safe of the lobby?", gold=(GoldSpan(document="secret"),))
    asked = [
        hidden.model_copy(update=update)
        for update in (
            {}, {"user": "bob"}, {"user": "ann"}, {"user": "bob", "groups": ("board",)},
            {"user": "ann", "where": {"team": "hall"}}, {"user": "ann", "where": {"team": "roof"}},
        )
    ]  # fmt: skip
    found = evidence(kit._reader(), looked_up(kit.catalog, asked), (120,), counter_for(None))
    assert found.shape == (6, 1)
    assert found[:, 0].tolist() == [0.0, 0.0, 1.0, 1.0, 1.0, 0.0]


def test_receipts_alone_and_beside_judged_ones(kit, judged):
    for one in judged:
        kit.report_outcome(kit.context(one.question, budget=80).receipt.id, success=True)
    receipts = len(kit.receipts(1000))
    report = kit.tune(from_receipts=True, budgets=(80,), dry_run=True)
    assert report.weak == report.questions == len(judged)
    assert report.held_out.before[80] > 95  # guesses from what was delivered say that it was right
    assert len(kit.receipts(1000)) == receipts
    both = parted(kit._reader(), [*judged, *from_receipts(kit._receipts.told())])
    assert both.weak == len(judged)
    assert len(both.judge) == sum(held_out(one.question) for one in judged)  # judged by what people judged
    assert not any(one.judged.weak for one in both.judge)
    assert len(both.tune) == 2 * (len(judged) - len(both.judge))


def test_the_command_line(tmp_path, folder, asked_file, monkeypatch, capsys):
    import os

    from contextkit.cli.app import run
    from contextkit.embedding import load_embedder

    monkeypatch.chdir(tmp_path)
    for name in [n for n in os.environ if n.upper().startswith("CONTEXTKIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(
        "contextkit.kit.verbs.load_embedder", lambda spec, backend: TinyEmbedder(dimension=4) or load_embedder(spec)
    )
    common = ["tune", str(asked_file), "--index", str(folder), "--budget", "120"]
    assert run([*common, "--dry-run"]) == 0
    out = capsys.readouterr().out
    assert "would be adopted: evidence rises by more than noise" in out
    assert "held out" in out
    assert list(folder.glob("weights*")) == []
    assert run([*common, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["verdict"], found["questions"]) == ("adopted", 80)
    assert run(["index", "info", "--index", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["weights"].startswith("tuned ")
    asked_file.write_text('{"question": "One?", "gold": ["one"]}\n')
    assert run(common) == 2
    assert "too few to judge" in capsys.readouterr().err
    assert run(["tune", "--index", str(folder)]) == 2
    assert "nothing to tune on" in capsys.readouterr().err
