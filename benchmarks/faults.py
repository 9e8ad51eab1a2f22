"""Faults at many points of an index's life, and what each leaves: nothing may be lost. Prints the table.

    python benchmarks/faults.py [--share 16] [--json NAME]

The same life as in `tests/faults`, with about `--share` kills a step and half as many torn writes and failing writes, over
SQLite's writes, syncs and truncations, SQL statements, and what Python and FAISS write. Ends with 1 where anything was lost.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from common import table, write

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "faults"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--share", type=int, default=16, help="kills a step, at most")
    parser.add_argument("--json", metavar="NAME", help="also write benchmarks/results/NAME.json")
    args = parser.parse_args()
    from driver import MODES, Run

    with tempfile.TemporaryDirectory() as work:
        run = Run(Path(work) / "faults", args.share)
        result = run.go()
    rows = [(name, result["written"][name], *modes.values(), _lost(name, run.wrong)) for name, modes in result["steps"].items()]
    print(table(("step", "points", "killed", "torn write", "disk full or failing", "lost or wrong"), rows))
    print(f"\n{table(('at', 'faults'), sorted(result['kinds'].items()))}")
    print(
        f"\n{result['points']} faults in {result['seconds']} s ({', '.join(MODES)}); after each the index opened, the doctor "
        "found nothing wrong, all was as before or as after the step, and the step finished; "
        f"{result['to_the_end']} lives were lived to the end; {result['remade']} times a derived file was made again; "
        f"{len(run.wrong)} exceptions"
    )
    for line in run.wrong:
        print(f"- {line}")
    if args.json:
        print(f"written: {write(args.json, f'python benchmarks/faults.py --share {args.share}', result)}")
    return 1 if run.wrong else 0


def _lost(step: str, wrong: list[str]) -> int:
    return sum(line.startswith(f"{step}, ") for line in wrong)


if __name__ == "__main__":
    sys.exit(main())
