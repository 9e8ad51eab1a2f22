"""The tables of the README, made from the committed results, so that no figure is typed by hand.

    python benchmarks/tables.py                        prints every table for which there are results
    python benchmarks/tables.py --write README.md      puts each between its marks: <!-- table:NAME --> ... <!-- /table:NAME -->
    python benchmarks/tables.py --check README.md      ends with 1 where a table in the file is not the one of the results

Reads benchmarks/results/*.json alone; measures nothing.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from common import BUDGETS, RESULTS, table

_MARKED = re.compile(r"(<!-- table:([a-z]+) -->\n)(.*?)(<!-- /table:\2 -->)", re.DOTALL)
_NAMES = {
    "contextkit": "**contextkit**",
    "contextkit openvino": "**contextkit**, extra `fast`",
    "contextkit torch": "**contextkit**, torch",
    "contextkit torch float32": "contextkit, torch in float32",
    "contextkit instant": "contextkit, `instant`",
    "langchain": "LangChain + FAISS",
    "llamaindex": "LlamaIndex",
    "haystack": "Haystack",
    "txtai": "txtai",
}


def evidence(results: Mapping[str, Any]) -> str:
    """Evidence, and packets over budget, of each case at each budget."""
    rows = [
        (
            case, found["questions"], *(percent(found["budgets"][str(b)]["evidence"]) for b in BUDGETS),
            sum(found["budgets"][str(b)]["over"] for b in BUDGETS),
        )
        for case, found in results.items()
    ]  # fmt: skip
    return table(("evidence, %", "questions", *(f"{b:,}" for b in BUDGETS), "over budget"), rows)


def peers(results: Mapping[str, Any]) -> str:
    """Evidence of each system, case by case."""
    rows = [
        (
            case if n == 0 else "", _NAMES[s["system"]], *(percent(s["budgets"][str(b)]["evidence"]) for b in BUDGETS),
        )
        for case, systems in results["cases"].items()
        for n, s in enumerate(systems)
    ]  # fmt: skip
    head = ("case", "evidence, %", *(f"{b:,}" for b in BUDGETS))
    return table(head, rows)


def settings(results: Mapping[str, Any]) -> str:
    """How each peer was set, and its versions."""
    known = {s["system"]: s for systems in results["cases"].values() for s in systems}
    rows = [
        (_NAMES[name], s["settings"], ", ".join(f"{part} {number}" for part, number in s["versions"].items()))
        for name, s in known.items()
    ]
    return table(("system", "settings", "versions"), rows)


def ingest(results: Mapping[str, Any]) -> str:
    """Folders indexed end to end, each system against LangChain."""
    rows = [
        (
            corpus, _NAMES[name], s["documents"], f"{s['seconds']:.1f}", f"{s['tokens_per_second']:,}",
            "" if s["times_langchain"] is None else f"{s['times_langchain']:.1f} x",
        )
        for corpus, found in results["ingest"].items()
        for name, s in found["systems"].items()
    ]  # fmt: skip
    return table(("folder", "system", "files", "seconds", "tokens a second", "speed of LangChain"), rows)


def start(results: Mapping[str, Any]) -> str:
    """Start-up of fresh processes, and the warm packet."""
    rows: list[tuple[object, ...]] = [
        (f"`{name}`" if "contextkit" in name else name, f"{ms:,.0f}") for name, ms in results["start"].items()
    ]
    found = results["packet"]
    what = f"warm packet of {found['budget']:,} tokens from {found['chunks']:,} chunks, without embedding the question"
    rows += [(f"{what}: median", f"{found['p50_ms']:.1f}"), ("the same, 95th percentile", f"{found['p95_ms']:.1f}")]
    return table(("fresh processes, and a warm packet", "ms"), rows)


def filings(results: Mapping[str, Any]) -> str:
    """Pages of the evidence cited, with the filing given and over all."""
    rows = [
        (name, s["questions"], percent(s["page"]), percent(s["chance"]), percent(s["evidence"]))
        for name, s in results["settings"].items()
    ]
    parsing = results["parsing"]
    told = f"{parsing['files']} filings, {parsing['pages']} pages, read at {parsing['pages_per_second']:.0f} pages a second"
    head = (f"{results['budget']:,} tokens", "questions", "page cited, %", "by chance, %", "evidence, %")
    return f"{told}.\n\n{table(head, rows)}"


def parsing(results: Mapping[str, Any]) -> str:
    """How well each format is read."""
    rows = [
        (kind, r["documents"], f"{r['token_f1']:.3f}", share(r["headings"]), share(r["cells"]))
        for kind, r in results["documents"]["formats"].items()
    ]  # fmt: skip
    return table(("format", "documents", "token F1", "headings found", "cells found"), rows)


def memory(results: Mapping[str, Any]) -> str:
    """Evidence of recalled conversations, what is junk after replays, and speed with many records."""
    held = [
        (f"evidence, {name}", found["questions"], *(percent(found["evidence"][str(b)]) for b in BUDGETS))
        for name, found in (("questions that settings were chosen on", results["tune"]), ("the others", results["report"]))
    ]
    audit, file = results["audit"], results["sqlite"]
    told: list[tuple[object, ...]] = [
        ("active records that are duplicates, boilerplate or echoes, %", audit["junk_percent"]),
        (f"turns lost, of {audit['distinct_turns']:,}", audit["distinct_turns_lost"]),
        (f"{file['records']:,} records: written a second of processor", f"{file['written_a_processor_second']:,}"),
        ("bytes a record beyond text and vector", file["bytes_a_record_beyond_text_and_vector"]),
        (
            "recall with embedding the question, ms of processor, 95th percentile",
            file["recall_with_embedding_processor_ms"]["p95"],
        ),
        ("recall without, ms of processor, 95th percentile", file["recall_without_embedding_processor_ms"]["p95"]),
        ("one record written at 500 records, ms of processor", file["one_write_processor_ms_at_500"]),
        (f"one record written at {file['records']:,}, ms of processor", file["one_write_processor_ms_at_the_end"]),
    ]
    head = ("five long conversations, %", "questions", *(f"{b:,}" for b in BUDGETS))
    return f"{table(head, held)}\n\n{table(('memory', 'figure'), told)}"


def enough(results: Mapping[str, Any]) -> str:
    """Evidence and tokens of a packet filled whole and filled with just enough."""
    rows = [
        (
            case, f"{int(budget):,}", percent(fills["full"]["evidence"]), percent(fills["enough"]["evidence"]),
            f"{fills['full']['tokens']:,.0f}", f"{fills['enough']['tokens']:,.0f}",
            f"{100 - 100 * fills['enough']['tokens'] / fills['full']['tokens']:.0f} %",
        )
        for case, found in results.items()
        for budget, fills in found["enough"].items()
    ]  # fmt: skip
    return table(("", "budget", "evidence, % (full)", "(enough)", "tokens (full)", "(enough)", "saved"), rows)


def ablation(results: Mapping[str, Any]) -> str:
    """Evidence with one part of the score switched off, by case and budget."""
    cases = list(results)
    names = list(results[cases[0]]["ablation"])
    budgets = list(results[cases[0]]["ablation"][names[0]])
    order = sorted(names, key=lambda n: (n != "everything", n))
    rows = [(n, *(percent(results[c]["ablation"][n][b]) for c in cases for b in budgets)) for n in order]
    return table(("evidence, %", *(f"{c}, {int(b):,}" for c in cases for b in budgets)), rows)


def pairs(results: Mapping[str, Any]) -> str:
    """Evidence of two questions asked in one, by case and budget."""
    rows = [
        (case, how, *(percent(found["pairs"][kind][budget]) for budget in ("512", "1024", "2048")))
        for case, found in results.items()
        for kind, how in (("apart", "taken apart"), ("whole", "as one"))
    ]
    return table(("two questions in one", "evidence of both, %", "512", "1,024", "2,048"), rows)


def tuning(results: Mapping[str, Any]) -> str:
    """Evidence with shipped and with fitted weights, case by case."""
    kinds = {"left out": "fitted to the other two", "own": "fitted to its other half"}
    rows = []
    for case, found in results["cases"].items():
        shipped = found["own"]["before"]
        rows.append((f"{case}, {found['questions']} questions", "as shipped", *(percent(shipped[str(b)]) for b in BUDGETS), ""))
        for kind, how in kinds.items():
            d = found[kind]["difference"]
            verdict = f"{d['mean']:+.1f} ({d['low']:+.1f} to {d['high']:+.1f}): {found[kind]['verdict']}"
            rows.append(("", how, *(percent(found[kind]["after"][str(b)]) for b in BUDGETS), verdict))
    return table(("evidence, %", "weights", *(f"{b:,}" for b in BUDGETS), "difference (90 % range)"), rows)


def confidence(results: Mapping[str, Any]) -> str:
    """How good shipped and fitted confidence is, case by case."""
    kinds = {"shipped": "as shipped", "left out": "fitted to the other two", "own": "fitted to its other half"}
    rows = []
    for case, found in results.items():
        for kind, how in kinds.items():
            one, fall = found[kind], found[kind].get("fall")
            verdict = f"{fall['mean']:+.3f} ({fall['low']:+.3f} to {fall['high']:+.3f}): {one['verdict']}" if fall else ""
            silent = found["questions"] - found["answered"]
            label = "" if fall else f"{case}, {found['answered']} questions with an answer, {silent} without"
            rows.append((label, how, f"{one['log_loss']:.3f}", f"{one['auroc']:.3f}", f"{one['ece']:.3f}", verdict))
    return table(("", "confidence", "log-loss", "AUROC", "calibration error", "fall of the log-loss (90 % range)"), rows)


def finetune(results: Mapping[str, Any]) -> str:
    """Evidence with an embedder trained on one of the cases, case by case."""
    rows = []
    for number, (mix, cases) in enumerate(results["mixes"].items()):
        for case, found in cases.items():
            seen = "trained on its other half" if case == results["on"] else "never seen"
            if not number:
                before = (percent(found["before"][str(b)]) for b in BUDGETS)
                rows.append((case, 0, f"{case}, {found['questions']} questions, {seen}", "packaged", *before, ""))
            d = found["difference"]
            verdict = f"{d['mean']:+.1f} ({d['low']:+.1f} to {d['high']:+.1f}): {found['verdict']}"
            after = (percent(found["after"][str(b)]) for b in BUDGETS)
            rows.append((case, float(mix), "", f"trained, mix {mix}", *after, verdict))
    order = list(results["mixes"][next(iter(results["mixes"]))])
    ordered = [row[2:] for row in sorted(rows, key=lambda row: (order.index(row[0]), row[1]))]
    return table(("evidence, %", "embedder", *(f"{b:,}" for b in BUDGETS), "difference (90 % range)"), ordered)


def backends(results: Mapping[str, Any]) -> str:
    """What each back-end and precision costs in quality, case by case."""
    budgets = (512, 1024, 2048)
    rows = [
        (
            "" if n else f"{case}, {found['questions']} questions", name, "" if s["cosine"] is None else f"{s['cosine']:.4f}",
            *(percent(s["evidence"][str(b)]) for b in budgets), f"{s['change']:+.2f}", f"{s['index_processor_seconds']:.0f}",
        )
        for case, found in results.items()
        for n, (name, s) in enumerate(sorted(found["back_ends"].items(), key=lambda b: -b[1]["index_processor_seconds"]))
    ]  # fmt: skip
    head = ("", "back-end", "lowest cosine to float32", *(f"evidence at {b:,}, %" for b in budgets), "change, points")
    return table((*head, "indexing, processor seconds"), rows)


TABLES: dict[str, tuple[str, tuple[str, ...], Callable[[Mapping[str, Any]], str]]] = {
    "evidence": ("evidence", (), evidence),
    "peers": ("peers", ("cases",), peers),
    "settings": ("peers", ("cases",), settings),
    "ingest": ("speed", ("ingest",), ingest),
    "start": ("speed", ("start", "packet"), start),
    "filings": ("filings", ("settings",), filings),
    "parsing": ("parsing", ("documents",), parsing),
    "enough": ("selection", (), enough),
    "ablation": ("selection", (), ablation),
    "pairs": ("selection", (), pairs),
    "tuning": ("tuning", ("cases",), tuning),
    "confidence": ("confidence", (), confidence),
    "finetune": ("finetune", ("mixes",), finetune),
    "backends": ("backends", (), backends),
    "memory": ("memory", ("tune", "report", "audit", "sqlite"), memory),
}
"""Each table's result file, the parts of it that must be there, and the function that makes it."""


def percent(value: float) -> str:
    """One decimal."""
    return f"{value:.1f}"


def share(value: float | None) -> str:
    """A ratio in percent, or a dash where there was nothing to find."""
    return "-" if value is None else f"{100 * value:.1f} %"


def made(folder: Path = RESULTS) -> dict[str, str]:
    """Every table for which there are results, by name."""
    out = {}
    for name, (file, parts, make) in TABLES.items():
        path = folder / f"{file}.json"
        if not path.is_file():
            continue
        found = json.loads(path.read_text(encoding="utf-8"))
        results = found["results"]
        if all(part in results for part in parts):
            out[name] = make(results)
    return out


def filled(text: str, tables: Mapping[str, str]) -> str:
    """The text with each marked place holding its table; places without results stay as they are."""
    return _MARKED.sub(lambda m: f"{m[1]}{tables[m[2]]}\n{m[4]}" if m[2] in tables else m[0], text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="FILE")
    parser.add_argument("--check", type=Path, metavar="FILE")
    args = parser.parse_args()
    tables = made()
    path = args.write or args.check
    if path is None:
        print("\n\n".join(f"## {name}\n\n{text}" for name, text in tables.items()))
        return
    before = path.read_text(encoding="utf-8")
    after = filled(before, tables)
    if args.write:
        path.write_text(after, encoding="utf-8")
    elif before != after:
        print(
            f"{path}: a table differs from benchmarks/results; run: python benchmarks/tables.py --write {path}", file=sys.stderr
        )
        raise SystemExit(1)


if __name__ == "__main__":
    main()
