"""Runs the scripted life with a fault at many points, and looks at what is left after each. Prints its findings as JSON.

    python tests/faults/driver.py WORK_FOLDER POINTS_A_STEP

After every fault: the index opens, the doctor finds nothing wrong, all that can be seen is as before or as after the step, the step
finishes when it is run again, and (at a part of the points) so does the rest of the life, with the same end.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import injection
import life
from injection import FAILING, WRITES, Fault

from contextkit.catalog import Catalog, Status, Vectors, exists
from contextkit.errors import ContextkitError
from contextkit.indexes.faiss_index import FaissIndex
from contextkit.retrieval.terms import terms

MODES = ("kill", "torn", "fail")
_TO_THE_END = 6  # every so many points the rest of the life is run too


@dataclass(frozen=True)
class Ended:
    """How a child ended: killed, or with the points it passed and the error it told ("" for none)."""

    killed: bool
    kinds: tuple[str, ...] = ()
    error: str = ""
    clear: bool = True


def child(step: Callable[[Path], None], root: Path, fault: Fault) -> Ended:
    """Runs a step in a forked process with a fault in it."""
    read_end, write_end = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(read_end)
        error, clear = "", True
        try:
            injection.install(fault)
            step(root)
        except ContextkitError as found:
            error = f"{type(found).__name__}: {found}"
        except BaseException as found:  # noqa: BLE001 - everything else is told as a finding
            error, clear = f"{type(found).__name__}: {found} {traceback.format_exc()[-600:]}", False
        with os.fdopen(write_end, "w") as pipe:
            json.dump([fault.kinds, error, clear], pipe)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        told = pipe.read()
    os.waitpid(process, 0)
    if not told:
        return Ended(True)
    kinds, error, clear = json.loads(told)
    return Ended(False, tuple(kinds), error, clear)


def healthy(root: Path) -> tuple[list[str], int]:
    """What the doctor finds wrong, and how many derived files it had to make again."""
    if not exists(root / "index"):
        return [], 0
    with Catalog.open(root / "index") as catalog:
        health = catalog.examine(terms, Vectors(catalog, FaissIndex, FaissIndex.load))
    mended = [f for f in health.findings if f.status is Status.MENDED]
    wrong = health.of(Status.FAIL) + [f for f in mended if f.check not in {"vector index", "files"}]
    return [f"{f.check}: {f.detail}" for f in wrong], len(mended)


def fresh(source: Path, target: Path) -> Path:
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target


def chosen(kinds: tuple[str, ...], share: int) -> Iterator[tuple[int, str]]:
    """(point, mode): of each mode about `share` points, spread over all, each kind of point at least once."""
    for mode in MODES:
        able = [n for n, kind in enumerate(kinds, 1) if mode == "kill" or kind in (WRITES if mode == "torn" else FAILING)]
        if not able:
            continue
        count = max(2, share if mode == "kill" else share // 2)
        picked = {able[i * (len(able) - 1) // max(1, count - 1)] for i in range(min(count, len(able)))}
        if share > 3:
            seen: set[str] = set()
            for n in able:
                if kinds[n - 1] not in seen:
                    seen.add(kinds[n - 1])
                    picked.add(n)
        yield from ((n, mode) for n in sorted(picked))


class Run:
    """One life with its faults."""

    def __init__(self, work: Path, share: int) -> None:
        self.work, self.share = work, share
        self.points: Counter[tuple[str, str]] = Counter()
        self.kinds: Counter[str] = Counter()
        self.mended = self.finished = 0
        self.wrong: list[str] = []

    def go(self) -> dict[str, object]:
        began = time.monotonic()
        root = self.work / "whole"
        root.mkdir(parents=True)
        states = [life.state(root)]
        folders, passed = [], []
        for number, (_, step) in enumerate(life.STEPS):
            folders.append(fresh(root, self.work / f"before{number}"))
            ended = child(step, root, Fault())
            assert not ended.killed, "an undisturbed step was killed"
            assert not ended.error, ended.error
            passed.append(ended.kinds)
            states.append(life.state(root))
            assert healthy(root)[0] == []
        number = 0
        for i, (name, step) in enumerate(life.STEPS):
            for n, mode in chosen(passed[i], self.share):
                number += 1
                self.points[name, mode] += 1
                self.kinds[passed[i][n - 1]] += 1
                trial = fresh(folders[i], self.work / "trial")
                try:
                    self._try(trial, step, Fault(n, mode), states[i], states[i + 1])
                    if number % _TO_THE_END == 0:
                        self._to_the_end(trial, i + 1, states[-1])
                except Exception as error:  # noqa: BLE001 - everything that is wrong is reported with its point
                    self.wrong.append(f"{name}, {mode} at {n} ({passed[i][n - 1]}): {type(error).__name__} {error}"[:900])
        return {
            "steps": {name: {mode: self.points[name, mode] for mode in MODES} for name, _ in life.STEPS},
            "written": {name: len(kinds) for (name, _), kinds in zip(life.STEPS, passed, strict=True)},
            "kinds": dict(self.kinds),
            "points": sum(self.points.values()),
            "remade": self.mended,
            "to_the_end": self.finished,
            "sqlite": injection.available(),
            "wrong": self.wrong,
            "seconds": round(time.monotonic() - began, 1),
        }

    def _try(self, trial: Path, step: Callable[[Path], None], fault: Fault, before: object, after: object) -> None:
        ended = child(step, trial, fault)
        if fault.mode != "fail" and not ended.killed:
            raise AssertionError(f"was not killed ({len(ended.kinds)} points) {ended.error}")
        if not ended.clear:
            raise AssertionError(f"an error that is not ours: {ended.error}")
        left = life.state(trial)
        if left not in (before, after):
            raise AssertionError(f"is neither as before nor as after the step {difference(left, before, after)}")
        problems, mended = healthy(trial)
        self.mended += mended
        if problems:
            raise AssertionError(f"the doctor finds {problems}")
        step(trial)
        if life.state(trial) != after:
            raise AssertionError("run again, it does not come to the same end")
        if problems := healthy(trial)[0]:
            raise AssertionError(f"after the second run the doctor finds {problems}")

    def _to_the_end(self, trial: Path, following: int, end: object) -> None:
        for _, step in life.STEPS[following:]:
            step(trial)
        if life.state(trial) != end:
            raise AssertionError("the rest of the life does not come to the same end")
        self.finished += 1


def difference(left: object, before: object, after: object) -> str:
    """The parts in which a state is unlike both."""
    if not (isinstance(left, dict) and isinstance(before, dict) and isinstance(after, dict)):
        return f"({type(left).__name__})"
    return str([key for key in left if left[key] not in (before[key], after[key])])


def main() -> None:
    work, share = Path(sys.argv[1]), int(sys.argv[2])
    print(json.dumps(Run(work, share).go()))


if __name__ == "__main__":
    main()
