import json

import pytest
import tables

BUDGETS = {str(b): {"evidence": 50.0 + n, "over": 0} for n, b in enumerate((256, 512, 1024, 2048, 4096))}
FITTED = {
    "after": {b: found["evidence"] + 1 for b, found in BUDGETS.items()},
    "before": {b: found["evidence"] for b, found in BUDGETS.items()},
    "difference": {"mean": 1.04, "low": -0.26, "high": 2.0},
    "verdict": "kept",
}
SURE = {"log_loss": 0.5, "auroc": 0.8, "ece": 0.1}
FALL = {"fall": {"mean": 0.2, "low": 0.1, "high": 0.3}, "verdict": "adopted"}
EVIDENCE = {"512": 70.0, "1024": 80.06, "2048": 90.0}
RESULTS = {
    "tuning": {"results": {"cases": {"covidqa": {"questions": 10, "own": FITTED, "left out": FITTED}}}},
    "confidence": {
        "results": {
            "clapnq": {"questions": 10, "answered": 6, "shipped": SURE, "left out": {**SURE, **FALL}, "own": {**SURE, **FALL}}
        }
    },
    "finetune": {
        "results": {
            "on": "covidqa",
            "mixes": {mix: {case: {"questions": 10, **FITTED} for case in ("covidqa", "clapnq")} for mix in ("0.5", "1.0")},
        }
    },
    "backends": {
        "results": {
            "covidqa": {
                "questions": 10,
                "back_ends": {
                    "instant": {"cosine": None, "evidence": EVIDENCE, "change": -3.0, "index_processor_seconds": 3.2},
                    "torch-float32": {"cosine": 1.0, "evidence": EVIDENCE, "change": 0.0, "index_processor_seconds": 51.2},
                },
            }
        }
    },
    "evidence": {"results": {"covidqa": {"questions": 10, "budgets": BUDGETS}}},
    "peers": {
        "results": {
            "cases": {
                "covidqa": [
                    {
                        "system": "contextkit",
                        "budgets": BUDGETS,
                        "settings": "ck.open",
                        "versions": {"contextkit": "1", "torch": "2"},
                    },
                    {"system": "txtai", "budgets": BUDGETS, "settings": "Embeddings()", "versions": {"txtai": "9"}},
                ]
            }
        }
    },
    "speed": {
        "results": {
            "ingest": {
                "notes": {
                    "systems": {
                        "contextkit": {"documents": 3, "seconds": 2.0, "tokens_per_second": 1234, "times_langchain": None}
                    }
                }
            },
            "start": {"bare interpreter": 20.0, "contextkit --help": 150.2},
            "packet": {"budget": 1024, "chunks": 20_000, "p50_ms": 12.3, "p95_ms": 20.0},
        }
    },
    "filings": {
        "results": {
            "budget": 2048,
            "parsing": {"files": 11, "pages": 680, "pages_per_second": 80.2},
            "settings": {"filing given": {"questions": 26, "page": 84.6, "chance": 20.0, "evidence": 59.2}},
        }
    },
    "selection": {
        "results": {
            "covidqa": {
                "enough": {"1024": {"full": {"evidence": 85.1, "tokens": 1000.0}, "enough": {"evidence": 85.0, "tokens": 900.4}}},
                "pairs": {"apart": {"1024": 78.3, "2048": 83.8, "512": 71.6}, "whole": {"1024": 63.4, "2048": 75.3, "512": 53.0}},
                "ablation": {"no words": {"256": 48.9, "1024": 69.8}, "everything": {"256": 74.3, "1024": 85.1}},
            }
        }
    },
    "memory": {
        "results": {
            "tune": {"questions": 5, "evidence": {b: v["evidence"] for b, v in BUDGETS.items()}},
            "report": {"questions": 6, "evidence": {b: v["evidence"] for b, v in BUDGETS.items()}},
            "audit": {"junk_percent": 0.1, "distinct_turns": 2758, "distinct_turns_lost": 0},
            "sqlite": {
                "records": 100_000,
                "written_a_processor_second": 4000,
                "bytes_a_record_beyond_text_and_vector": 570,
                "recall_with_embedding_processor_ms": {"median": 15.0, "p95": 19.0},
                "recall_without_embedding_processor_ms": {"median": 11.0, "p95": 12.5},
                "one_write_processor_ms_at_500": 1.0,
                "one_write_processor_ms_at_the_end": 1.1,
            },
        }
    },
    "parsing": {
        "results": {"documents": {"formats": {"csv": {"documents": 9, "token_f1": 1.0, "headings": None, "cells": 0.995}}}}
    },
}


@pytest.fixture
def folder(tmp_path):
    for name, content in RESULTS.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return tmp_path


def cells(line):
    return [c.strip() for c in line.strip("|").split("|")]


def test_every_table_is_made_from_its_results(folder):
    made = tables.made(folder)
    assert set(made) == set(tables.TABLES)
    assert cells(made["evidence"].splitlines()[-1]) == ["covidqa", "10", "50.0", "51.0", "52.0", "53.0", "54.0", "0"]
    assert cells(made["peers"].splitlines()[-1]) == ["", "txtai", "50.0", "51.0", "52.0", "53.0", "54.0"]
    assert [cells(line) for line in made["settings"].splitlines()[2:]] == [
        ["**contextkit**", "ck.open", "contextkit 1, torch 2"],
        ["txtai", "Embeddings()", "txtai 9"],
    ]
    assert cells(made["ingest"].splitlines()[-1]) == ["notes", "**contextkit**", "3", "2.0", "1,234", ""]
    assert "`contextkit --help`" in made["start"]
    assert "20,000 chunks" in made["start"]
    assert made["filings"].startswith("11 filings, 680 pages, read at 80 pages a second.")
    assert cells(made["enough"].splitlines()[-1]) == ["covidqa", "1,024", "85.1", "85.0", "1,000", "900", "10 %"]
    assert [cells(line)[0] for line in made["ablation"].splitlines()[2:]] == ["everything", "no words"]
    assert cells(made["pairs"].splitlines()[2]) == ["covidqa", "taken apart", "71.6", "78.3", "83.8"]
    assert cells(made["tuning"].splitlines()[-1])[1:4] == ["fitted to its other half", "51.0", "52.0"]
    assert cells(made["tuning"].splitlines()[-1])[-1] == "+1.0 (-0.3 to +2.0): kept"
    sure = [cells(line) for line in made["confidence"].splitlines()[2:]]
    assert sure[0] == ["clapnq, 6 questions with an answer, 4 without", "as shipped", "0.500", "0.800", "0.100", ""]
    assert sure[2][1:] == ["fitted to its other half", "0.500", "0.800", "0.100", "+0.200 (+0.100 to +0.300): adopted"]
    trained = [cells(line) for line in made["finetune"].splitlines()[2:]]
    assert [row[0] for row in trained] == [
        "covidqa, 10 questions, trained on its other half", "", "", "clapnq, 10 questions, never seen", "", ""
    ]  # fmt: skip
    assert [row[1] for row in trained[:3]] == ["packaged", "trained, mix 0.5", "trained, mix 1.0"]
    assert trained[1][2:] == ["51.0", "52.0", "53.0", "54.0", "55.0", "+1.0 (-0.3 to +2.0): kept"]
    assert cells(made["backends"].splitlines()[2])[:3] == ["covidqa, 10 questions", "torch-float32", "1.0000"]
    assert cells(made["backends"].splitlines()[3])[1:] == ["instant", "", "70.0", "80.1", "90.0", "-3.00", "3"]
    assert cells(made["parsing"].splitlines()[-1]) == ["csv", "9", "1.000", "-", "99.5 %"]


def test_a_table_without_results_is_left_out(folder):
    (folder / "peers.json").unlink()
    (folder / "speed.json").write_text(
        json.dumps({"results": {"ingest": RESULTS["speed"]["results"]["ingest"]}}), encoding="utf-8"
    )
    assert set(tables.made(folder)) == set(tables.TABLES) - {"peers", "settings", "start"}


def test_tables_are_put_between_their_marks_and_nothing_else_changes():
    text = "# A\n<!-- table:peers -->\nold\n<!-- /table:peers -->\nrest\n<!-- table:start -->\nkept\n<!-- /table:start -->\n"
    filled = tables.filled(text, {"peers": "| new |"})
    assert filled == text.replace("old", "| new |")
    assert tables.filled(filled, {"peers": "| new |"}) == filled


def test_check_fails_where_a_figure_was_typed_by_hand(folder, tmp_path, monkeypatch, capsys):
    readme = tmp_path / "README.md"
    readme.write_text("<!-- table:filings -->\n<!-- /table:filings -->\n", encoding="utf-8")
    monkeypatch.setattr(tables, "made", lambda: {"filings": "| 84.6 |"})
    monkeypatch.setattr("sys.argv", ["tables.py", "--write", str(readme)])
    tables.main()
    monkeypatch.setattr("sys.argv", ["tables.py", "--check", str(readme)])
    tables.main()
    readme.write_text(readme.read_text(encoding="utf-8").replace("84.6", "99.9"), encoding="utf-8")
    with pytest.raises(SystemExit):
        tables.main()
    assert "--write" in capsys.readouterr().err
