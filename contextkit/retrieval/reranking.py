"""A second look at what was found: rerankers, and how much time they may take.

Here live the rerankers of our own and the capped run over candidates. What a reranker is, is `contextkit.protocols.Reranker`;
what its word counts is `scoring.Weights.rerank`; several questions in one text are taken apart in `aspects.py`.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from contextkit.errors import ContextkitError, InputError, RerankerError
from contextkit.retrieval.candidates import Candidates
from contextkit.retrieval.scoring import Floats, Weights
from contextkit.types import Chunk, Span

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

    from contextkit.protocols import Embedder, Reranker

MILLISECONDS = 200.0
"""What reranking one text of questions may take where nobody says otherwise."""

LATE_INTERACTION = "late-interaction"

_GROUP = "contextkit.rerankers"
_FIRST = 4  # passages whose time says how many the next batch may have
_WORD = re.compile(r"\S+")
_LONG = 8  # characters of a piece, at most, on average: what is cut off beyond could never be read


@dataclass(frozen=True, slots=True)
class Reranking:
    """A reranker and the time that it has.

    Attributes:
        reranker: judges passages.
        milliseconds: cap for one call; `math.inf` for none. The first few passages are judged whatever they take, and a batch is
            begun only where it will end within the cap at the pace of the one before.
        batch: most passages judged at once.
        clock: seconds that have passed; replaced in tests.

    Raises:
        InputError: a cap or a batch that cannot work.
    """

    reranker: Reranker
    milliseconds: float = MILLISECONDS
    batch: int = 8
    clock: Callable[[], float] = time.perf_counter

    def __post_init__(self) -> None:
        if isinstance(self.milliseconds, bool) or not isinstance(self.milliseconds, (int, float)) or not self.milliseconds > 0:
            raise InputError(f"rerank_ms must be a number of milliseconds above 0, not {self.milliseconds!r}")
        if isinstance(self.batch, bool) or not isinstance(self.batch, int) or self.batch < 1:
            raise InputError(f"batch must be a whole number of passages from 1, not {self.batch!r}")

    def rerank(self, found: Candidates, question: str, weights: Weights, share: float = 1.0) -> Candidates:
        """The candidates with what the reranker says of them, as `Candidates.rerank` (0 to 1, the best judged has 1).

        Judged in the order of their fused scores, best first, ties by place, until the cap is spent. What was not reached has 0
        and so stays below, in its own order. Scores that are all the same say nothing: all have 0.

        Args:
            found: candidates; none are given back as they are, and the reranker is not called.
            question: what they are to answer.
            weights: for the order.
            share: of the cap.

        Raises:
            RerankerError: the reranker fails, or what it gives are not scores.
        """
        if not found.chunks:
            return found
        order = np.argsort(-found.fused(weights), kind="stable")
        texts = [_text(found.chunks[row].header, found.chunks[row].text) for row in order.tolist()]
        self._scored(question, [])  # loads the model, which no cap could pay for
        scores, spent = self._within(question, texts, self.milliseconds * share)
        rerank = np.zeros(len(order), np.float32)
        rerank[order[: len(scores)]] = _from_0_to_1(scores)
        return replace(found, rerank=rerank, reranked=len(scores), milliseconds={**found.milliseconds, "rerank": 1000 * spent})

    def _within(self, question: str, texts: Sequence[str], cap: float) -> tuple[Floats, float]:
        """Scores of the first texts, as many as the cap allows, and the seconds that they took."""
        start = before = self.clock()
        parts: list[Floats] = []
        done, room = 0, min(_FIRST, self.batch)
        while done < len(texts) and room > 0:
            part = texts[done : done + room]
            parts.append(self._scored(question, part))
            done += len(part)
            now = self.clock()
            left, pace = cap / 1000 - (now - start), (now - before) / len(part)
            fit = self.batch if pace <= 0 or math.isinf(left) else int(left / pace)
            before, room = now, min(self.batch, fit) if left > 0 else 0
        return np.concatenate(parts), before - start

    def _scored(self, question: str, texts: Sequence[str]) -> Floats:
        name = self.reranker.name
        try:
            scores = np.asarray(self.reranker.score(question, texts), np.float32)
        except ContextkitError:
            raise
        except Exception as error:  # whatever a foreign reranker raises
            reason = f"{type(error).__name__}: {error}"
            raise RerankerError(f"the reranker {name!r} failed on {len(texts)} passages: {reason}") from error
        if scores.shape != (len(texts),):
            raise RerankerError(f"the reranker {name!r} gave scores of shape {scores.shape} for {len(texts)} passages: one each")
        if not np.isfinite(scores).all():
            raise RerankerError(f"the reranker {name!r} gave scores that are no numbers or infinite: {scores.tolist()}")
        return scores


class CrossEncoderReranker:
    """A cross-encoder on this machine: reads question and passage together (protocol `Reranker`).

    Constructing is cheap; the model is loaded when first needed, by sentence-transformers, from the folder alone. What goes
    beyond its window is not read. Scores are the model's logits, which never saturate.

    Args:
        folder: a model's folder, as `CrossEncoder.save_pretrained` writes it or a hub's snapshot has it.
        device: where it computes, as torch says it ("cpu", "cuda"); None: a GPU where there is one.
        max_length: most pieces of question and passage together; None: as many as the model can read.

    Raises:
        RerankerError: the folder holds no cross-encoder; when first used: it does not load, or gives more than one number a pair.
        InputError: a `max_length` that cannot work.
    """

    def __init__(self, folder: str | Path, *, device: str | None = None, max_length: int | None = None) -> None:
        if max_length is not None and max_length < 8:
            raise InputError(f"max_length must be at least 8 pieces, not {max_length}")
        self._folder = Path(folder).expanduser()
        _check_folder(self._folder)
        self._device, self._max_length = device, max_length
        self._model: CrossEncoder | None = None
        self._lock = threading.Lock()  # a fast tokenizer cannot be used by two threads at once

    def __repr__(self) -> str:
        return f"CrossEncoderReranker({str(self._folder)!r})"

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self._folder.resolve().name

    def score(self, question: str, texts: Sequence[str]) -> Floats:
        """Logits of question and each text, float32 (n,); no texts give shape (0,), with the model loaded."""
        import torch

        with self._lock:
            if self._model is None:
                self._model = self._loaded()
            if not texts:
                return np.zeros(0, np.float32)
            most = _LONG * int(self._model.max_seq_length or 512)
            pairs = [(question[:most], text[:most]) for text in texts]
            found = self._model.predict(
                pairs, batch_size=len(pairs), show_progress_bar=False, activation_fn=torch.nn.Identity(), convert_to_numpy=True
            )
            return np.asarray(found, np.float32)

    def _loaded(self) -> CrossEncoder:
        from sentence_transformers import CrossEncoder

        from contextkit.embedding.general import quiet

        try:
            with quiet():
                model: CrossEncoder = CrossEncoder(
                    str(self._folder), device=self._device, local_files_only=True, max_length=self._max_length
                )
        except Exception as error:  # torch, transformers and safetensors share no error
            raise RerankerError(f"the cross-encoder {str(self._folder)!r} does not load: {error}") from error
        if model.num_labels != 1:
            raise RerankerError(
                f"the model {str(self._folder)!r} gives {model.num_labels} numbers for a pair: a reranker gives 1"
            )
        return model


class LateInteractionReranker:
    """Compares word by word: for each word of the question the nearest word of the passage (MaxSim; protocol `Reranker`).

    The words' vectors are those that an embedder gives to words as if they were sentences: the means of their token states in
    the text around them. No further model is needed, and none is as good as a cross-encoder: embedders that were not trained
    for it, such as all-MiniLM-L6-v2, lose about as much as they win.

    Args:
        embedder: gives sentence vectors.
    """

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._asked: tuple[str, Floats] | None = None

    @property
    def name(self) -> str:
        """`late-interaction` and the embedder's name."""
        return f"{LATE_INTERACTION} ({self._embedder.info.name})"

    def score(self, question: str, texts: Sequence[str]) -> Floats:
        """Means over the question's words of their best cosine with a word of each text, float32 (n,).

        A text without words has -1, as has every text where the question has none.

        Raises:
            InputError: the embedder has no sentence vectors.
        """
        if not self._embedder.info.sentences:
            raise InputError(f"late interaction needs an embedder with sentence vectors, which {self.name} is not: use another")
        asked = self._asked  # one read: another thread may put another question there meanwhile
        if asked is None or asked[0] != question:
            self._asked = asked = (question, self._words([question])[0])
        if not texts:
            return np.zeros(0, np.float32)
        out = np.full(len(texts), -1, np.float32)
        for row, words in enumerate(self._words(texts)):
            if len(words) and len(asked[1]):
                out[row] = (asked[1] @ words.T).max(axis=1).mean()
        return out

    def _words(self, texts: Sequence[str]) -> list[Floats]:
        """The vectors of each text's words, as far as the embedder's window goes."""
        chunks = [self._chunk(text) for text in texts]
        full = [chunk for chunk in chunks if chunk.sentences]
        vectors = self._embedder.embed(full).sentences
        if vectors is None:
            raise RerankerError(f"the embedder {self._embedder.info.name!r} says it has sentence vectors, and gave none")
        ends = np.cumsum([len(chunk.sentences) for chunk in chunks])
        return np.split(vectors, ends[:-1])

    def _chunk(self, text: str) -> Chunk:
        """The words from the start of a text that fit the window."""
        info = self._embedder.info
        room = info.window - 2 - self._embedder.count([info.passage_prefix])[0]
        words = [Span(*found.span()) for found in _WORD.finditer(text[: _LONG * info.window])]
        while words and (count := self._embedder.count([text[: words[-1].end]])[0]) > room:
            words = words[: min(len(words) - 1, len(words) * room // count)]
        end = words[-1].end if words else 0
        return Chunk(0, end, text[:end], sentences=tuple(words))


def load_reranker(spec: str | Path | Reranker | None, embedder: Embedder) -> Reranker | None:
    """The reranker that a setting names; no model is loaded yet. None for None.

    Args:
        spec: one of
            None: no reranker;
            "late-interaction": `LateInteractionReranker` of the embedder;
            "NAME" or "NAME:ARGUMENT": a plug-in of the group `contextkit.rerankers`, called with the argument where there is one;
            a path: a cross-encoder's folder, which is what any other text means;
            a reranker, which is returned as it is.
        embedder: of the index.

    Raises:
        RerankerError: the folder holds no cross-encoder.
        PluginError: the plug-in does not load.
        InputError: what is given or what the plug-in returns is no reranker.
    """
    if spec is None:
        return None
    if isinstance(spec, Path):
        return CrossEncoderReranker(spec)
    if not isinstance(spec, str):
        return _checked(spec, "the given object")
    if spec == LATE_INTERACTION:
        return LateInteractionReranker(embedder)
    from contextkit import plugins

    name, _, argument = spec.partition(":")
    if name not in plugins.names(_GROUP, check=False) or Path(spec).expanduser().is_dir():
        return CrossEncoderReranker(spec)
    make = plugins.load(_GROUP, name)
    return _checked(make(argument) if argument else make(), f"the plug-in {name!r}")


def _checked(found: object, what: str) -> Reranker:
    # not isinstance(found, Reranker): that would read `name`, which may load a model
    missing = [name for name in ("name", "score") if not hasattr(found if name == "name" else type(found), name)]
    if missing:
        raise InputError(f"{what} ({type(found).__name__}) is no reranker: it has no {', '.join(missing)}")
    return cast("Reranker", found)


def _check_folder(folder: Path) -> None:
    """Raises RerankerError where a folder is plainly no cross-encoder: without a head it would load with a random one."""
    what = f"a cross-encoder's folder is needed, {str(folder)!r}"
    if not folder.is_dir():
        raise RerankerError(f"{what} is none: give a folder on this machine, nothing is downloaded")
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        kinds = [str(kind) for kind in config.get("architectures") or ()]
    except FileNotFoundError:
        raise RerankerError(f"{what} has no config.json") from None
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise RerankerError(f"{what} has a config.json that cannot be read: {error}") from error
    if not any(kind.endswith(("ForSequenceClassification", "ForCausalLM")) for kind in kinds):
        raise RerankerError(f"{what} holds a model of the kind {', '.join(kinds) or 'unknown'}, which gives no scores of pairs")


def _text(header: str, text: str) -> str:
    """A passage as it was embedded."""
    return f"{header}\n{text}" if header else text


def _from_0_to_1(scores: Floats) -> Floats:
    least, most = float(scores.min()), float(scores.max())
    return (scores - least) / np.float32(most - least) if most > least else np.zeros_like(scores)
