"""Which back-end computes a model here: measured once a machine, on the first large text, and kept in the user's cache folder.

A measurement takes a second or so: every usable back-end embeds the same few texts, and the fastest wins. What came out goes
into the manifest of the index too. Loading and computing are in `encoders.py`.
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


@dataclass(frozen=True, slots=True)
class Measured:
    """What a measurement found.

    Attributes:
        chosen: the fastest back-end with its precision, for example "openvino-bfloat16".
        rates: tokens a second of each, on one core.
        cosine: the lowest between the vectors of two back-ends for the same text.
    """

    chosen: str
    rates: Mapping[str, float] = field(default_factory=dict)
    cosine: float = 1.0

    def plain(self) -> dict[str, JSON]:
        """As JSON values."""
        return asdict(self)


def measure(
    folder: ModelFolder, precision: Precision, threads: int | None, ids: Sequence[NDArray[np.int32]]
) -> tuple[Engine, Measured]:
    """The fastest usable back-end, loaded, and what was measured.

    Args:
        folder: the model.
        precision: what to compute in.
        threads: see `encoders.load`.
        ids: token ids of texts, from which a sample is taken.

    Raises:
        EmbedderError: the model does not load.
    """
    sample = _sample(ids)
    engines = [load(folder, backend, precision, threads) for backend in usable(folder)]
    timed = [_timed(engine, sample) for engine in engines]
    rates = {engine.name: round(rate, 1) for engine, (rate, _) in zip(engines, timed, strict=True)}
    best = max(engines, key=lambda engine: rates[engine.name])
    cosine = min(float((found * timed[0][1]).sum(axis=1).min()) for _, found in timed)
    return best, Measured(best.name, rates, round(min(cosine, 1.0), 6))


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


def _file(folder: ModelFolder, precision: Precision) -> str:
    digest = folder.expected or folder.digest
    versions = "-".join(_version(name) for name in BACKENDS)
    return f"backends/{digest[:16]}-{precision}-{platform.machine()}-{versions}.json"


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
    """Tokens a second, and the vectors."""
    best, made = float("inf"), []

    def run(_: list[int]) -> None:
        made.append(engine.encoder.vectors(sample, None, [])[0])

    for _ in range(_ROUNDS):
        begin = time.perf_counter()
        engine.each(run, [[]])
        best = min(best, time.perf_counter() - begin)
    return sum(map(len, sample)) / best, made[-1]
