"""An embedder trained on one corpus's judged questions: what it does to other questions of it, and to corpora it never saw.

    python benchmarks/finetune.py ../shared/bench [--on covidqa] [--mix 0.5] [--json NAME]

Trained as `contextkit tune --embedder` trains, on the even-numbered questions with an answer; every figure is from odd-numbered
ones, of packets from an index embedded with the trained model. `--mix` may be repeated: how far the weights lie from the packaged
model (0) to the trained one (1).
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from common import BUDGETS, bench_folder, load_case, table, write
from evidence import CASES, documents
from tuning import asked

import contextkit as ck
from contextkit.embedding import LocalEmbedder
from contextkit.evaluation.examples import examples
from contextkit.evaluation.finetune import Training, train
from contextkit.evaluation.tuning import Compared, evidence, verdict
from contextkit.tokens import counter_for


def trained(folder: Path, case: str, how: Training, out: Path) -> dict[str, Any]:
    """Trains on a case's even-numbered questions, to the full, and says what it took."""
    docs, questions = load_case(folder, case)
    with tempfile.TemporaryDirectory() as work, ck.open(Path(work) / "index") as kit:
        kit.add(documents(docs))
        fit_to = asked(questions, "tune", len(questions))
        begin, own = time.monotonic(), time.process_time()
        learn = examples(kit._reader(), LocalEmbedder(), fit_to)  # noqa: SLF001 - what no verb gives
        mined, tokens = time.process_time() - own, sum(len(p.ids) for e in learn for p in (e.positive, *e.negatives))
        losses = train(LocalEmbedder().path, out, learn, replace(how, mix=1.0), stepped(len(learn)))
    return {
        "questions": len(fit_to),
        "examples": len(learn),
        "tokens": tokens,
        "losses": [round(loss, 3) for loss in losses],
        "mining_processor_seconds": round(mined, 1),
        "training_processor_seconds": round(time.process_time() - own - mined, 1),
        "seconds": round(time.monotonic() - begin, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def stepped(examples: int) -> Callable[[str, int, int | None], None]:
    """Prints every tenth step."""
    begin = time.process_time()

    def tell(_: str, done: int, total: int | None) -> None:
        if done % 10 == 0:
            print(f"{examples} examples: step {done} of {total}, {time.process_time() - begin:.0f} processor seconds", flush=True)

    return tell


def between(model: Path, mix: float, out: Path) -> LocalEmbedder:
    """The packaged model, so far on its way to the trained one."""
    from safetensors.torch import load_file, save_file
    from sentence_transformers import SentenceTransformer

    SentenceTransformer(str(model)).save_pretrained(str(out), create_model_card=False)
    for path in out.rglob("model.safetensors"):
        start, end = (load_file(next(place.rglob("model.safetensors"))) for place in (LocalEmbedder().path, model))
        mixed = {n: start[n] + mix * (value - start[n]) if value.is_floating_point() else value for n, value in end.items()}
        save_file(mixed, path, {"format": "pt"})
    return LocalEmbedder(out)


def judged(folder: Path, case: str, most: int, embedder: LocalEmbedder | None) -> np.ndarray:
    """Evidence on a case's odd-numbered questions, (questions, budgets)."""
    docs, questions = load_case(folder, case)
    with tempfile.TemporaryDirectory() as work, ck.open(Path(work) / "index", embedder=embedder) as kit:
        kit.add(documents(docs))
        return evidence(kit._reader(), asked(questions, "report", most), BUDGETS, counter_for(None))  # noqa: SLF001 - as above


def run(folder: Path, args: argparse.Namespace) -> None:
    """Says what the training took, and the figures of all cases by how far the weights were moved."""
    how = Training(**{name: getattr(args, name) for name in ("epochs", "batch", "rate", "sentences")})
    with tempfile.TemporaryDirectory() as work:
        model = args.models or Path(work) / "trained"
        took = {} if model.is_dir() else trained(folder, args.on, how, model)
        print(took, flush=True)
        results: dict[str, Any] = {"on": args.on, "how": asdict(how), "took": took, "mixes": {}}
        before: dict[str, np.ndarray] = {}
        for mix in args.mix or [Training().mix]:
            embedder = between(model, mix, Path(work) / f"mix-{mix}")
            found: dict[str, Any] = {}
            for case in args.case or CASES:
                if case not in before:
                    before[case] = judged(folder, case, args.questions, None)
                compared = Compared(before[case], judged(folder, case, args.questions, embedder))
                held, difference = compared.held(BUDGETS), compared.difference().rounded()
                found[case] = {
                    "questions": held.questions,
                    "before": held.before,
                    "after": held.after,
                    "difference": difference.model_dump(),
                    "verdict": str(verdict(difference)[0]),
                }
                show(case, mix, found[case])
            results["mixes"][str(mix)] = found
            if args.json:  # what is measured is kept, whatever becomes of the rest
                write(args.json, f"python benchmarks/finetune.py BENCH --on {args.on}", results)


def show(case: str, mix: float, found: dict[str, Any]) -> None:
    """Prints the figures of a case."""
    d = found["difference"]
    rows = [
        ("before", *found["before"].values(), ""),
        ("trained", *found["after"].values(), f"{d['mean']:+.2f} ({d['low']:+.2f} to {d['high']:+.2f}): {found['verdict']}"),
    ]
    print(f"\n{case}: {found['questions']} held-out questions, mix {mix}\n")
    print(table(("evidence, %", *map(str, BUDGETS), "difference"), rows), flush=True)


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = Training()
    parser.add_argument("folder", nargs="?", help="the evaluation data")
    parser.add_argument("--on", choices=CASES, default="covidqa", help="the case to train on")
    parser.add_argument("--case", action="append", choices=CASES, help="a case to judge; may be repeated")
    parser.add_argument("--questions", type=int, default=400, help="most questions of a case that judge")
    parser.add_argument("--mix", type=float, action="append")
    parser.add_argument("--epochs", type=int, default=usual.epochs)
    parser.add_argument("--batch", type=int, default=usual.batch)
    parser.add_argument("--rate", type=float, default=usual.rate)
    parser.add_argument("--sentences", type=float, default=usual.sentences)
    parser.add_argument("--models", type=Path, metavar="FOLDER", help="where the trained model is kept, and taken from")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    return parser.parse_args(arguments)


def main() -> None:
    args = parsed()
    run(bench_folder(args.folder), args)


if __name__ == "__main__":
    main()
