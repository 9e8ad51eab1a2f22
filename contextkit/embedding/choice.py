"""Which back-end computes a model here: measured once a machine, on the first large text, and kept in the user's cache folder.

A measurement takes a second or so: every usable back-end embeds the same few texts, and the fastest wins where its vectors are
close to those in float32. What came out goes into the manifest of the index too. Loading and computing are in `encoders.py`.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from contextkit.embedding.cachefolder import read_bytes, write_bytes
from contextkit.embedding.encoders import BACKENDS, Engine, Precision, load, usable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from contextkit.embedding.encoders import Backend
    from contextkit.embedding.folder import ModelFolder
    from contextkit.types import JSON

FROM_TOKENS = 16_000  # below so many tokens the choice costs more than it can save
_SAMPLE = 1_500  # tokens that each back-end embeds, three times: the best counts, for the first compiles and others interrupt
_ROUNDS = 3
ENOUGH = 0.999
"""The least cosine to float32 at which a quicker precision is taken without being asked for."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a measurement found.

    Attributes:
        chosen: the back-end with its precision, for example "openvino-bfloat16".
        rates: tokens a second of processor time of each.
        cosine: the lowest between a vector of the fastest back-end and that of the same text in float32.
    """

    chosen: str
    rates: Mapping[str, float] = field(default_factory=dict)
    cosine: float = 1.0

    def plain(self) -> dict[str, JSON]:
        """As JSON values."""
        return asdict(self)


def measure(
    folder: ModelFolder, precision: Precision, threads: int | None, ids: Sequence[NDArray[np.int32]], *, strict: bool
) -> tuple[Engine, Measured]:
    """The fastest usable back-end, loaded, and what was measured.

    Args:
        folder: the model.
        precision: what to compute in.
        threads: see `encoders.load`.
        ids: token ids of texts, from which a sample is taken.
        strict: compute in float32 after all where a cosine is below `ENOUGH`.

    Raises:
        EmbedderError: the model does not load.
    """
    sample = _sample(ids)
    engines = [load(folder, backend, precision, threads) for backend in usable(folder)]
    rounds = [[_timed(engine, sample) for engine in engines] for _ in range(_ROUNDS)]  # by turns: all meet the same interruptions
    best_of = [max(rate for rate, _ in own) for own in zip(*rounds, strict=True)]
    rates = {engine.name: round(rate, 1) for engine, rate in zip(engines, best_of, strict=True)}
    best = max(engines, key=lambda engine: rates[engine.name])
    if best.precision == "float32":
        return best, Measured(best.name, rates, 1.0)
    exact = load(folder, best.backend, "float32", threads)
    rate, expected = _timed(exact, sample)
    cosine = min(1.0, float((rounds[-1][engines.index(best)][1] * expected).sum(axis=1).min()))
    if strict and cosine < ENOUGH:
        best, rates = exact, {**rates, exact.name: round(rate, 1)}
    return best, Measured(best.name, rates, round(cosine, 6))


def remembered(folder: ModelFolder, precision: Precision) -> Measured | None:
    """What was measured here for that model, with the versions that are installed now; None where nothing was."""
    data = read_bytes(_file(folder, precision))
    if data is None:
        return None
    try:
        found = json.loads(data)
        return Measured(str(found["chosen"]), dict(found["rates"]), float(found["cosine"]))
    except (ValueError, KeyError, TypeError):  # not ours, or of another time: it is measured again
        return None


def remember(folder: ModelFolder, precision: Precision, measured: Measured) -> None:
    """Keeps a measurement for other indexes; where there is no place to write it is made again."""
    write_bytes(_file(folder, precision), json.dumps(measured.plain()).encode())


def backend_of(name: str) -> Backend | None:
    """The back-end in a name such as "torch-bfloat16"; None for others' names."""
    return next((backend for backend in BACKENDS if name.startswith(f"{backend}-")), None)


def precision_of(name: str) -> Precision:
    """The precision in a name such as "torch-bfloat16"; float32 for others' names."""
    return "bfloat16" if name.endswith("-bfloat16") else "float32"


def _file(folder: ModelFolder, precision: Precision) -> str:
    digest = folder.expected or folder.digest
    versions = "-".join(_version(name) for name in BACKENDS)
    return f"backends/2-{digest[:16]}-{precision}-{platform.machine()}-{versions}.json"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _sample(ids: Sequence[NDArray[np.int32]]) -> list[NDArray[np.int32]]:
    """Texts of middle length, longest first, of about `_SAMPLE` tokens together."""
    ordered = sorted(ids, key=len, reverse=True)[len(ids) // 3 :]
    out: list[NDArray[np.int32]] = []
    tokens = 0
    for text in ordered:
        if tokens >= _SAMPLE:
            break
        out.append(text)
        tokens += len(text)
    return out


def _timed(engine: Engine, sample: list[NDArray[np.int32]]) -> tuple[float, NDArray[np.float32]]:
    """Tokens a second of processor time, which other work on the machine changes little; and the vectors."""
    made = []

    def run(_: list[int]) -> None:
        made.append(engine.encoder.vectors(sample, None, [])[0])

    begin = time.process_time()
    engine.each(run, [[]])
    return sum(map(len, sample)) / max(time.process_time() - begin, 1e-6), made[-1]
