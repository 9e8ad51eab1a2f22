"""An embedder trained on judged questions: what to learn from, and a short training loop.

A question is drawn towards the passages that answer it and away from those that were found for it and do not, and from what
answers the other questions beside it: the multiple negatives ranking loss of sentence-transformers (Henderson et al. 2017,
"Efficient natural language response suggestion for Smart Reply", section 4.4) with mined hard negatives. Plain torch: the
trainer of sentence-transformers would need further packages for nothing that is used here. Whether the result is worth anything
is judged in `tuning.py`.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contextkit.context.build import Reader, retrieve
from contextkit.errors import EmbedderError, InputError
from contextkit.evaluation.metric import holder
from contextkit.evaluation.questions import Asked
from contextkit.evaluation.signals import request

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

    from contextkit.types import EmbedderInfo

NEGATIVES = 3
"""Passages a question that were found for it and hold nothing of its answer."""
_POSITIVES = 2  # passages a question that hold the most of its answer
_CLIP = 1.0  # the longest step of a gradient

Tell = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Example:
    """What one step learns from.

    Attributes:
        question: with the embedder's prefix.
        positive: a passage that answers it, as it is embedded: prefix, header, text.
        negatives: `NEGATIVES` passages that do not.
    """

    question: str
    positive: str
    negatives: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Training:
    """How an embedder is trained.

    Attributes:
        epochs: how often each example is seen.
        batch: examples in a step; what answers the others counts as wrong, so that more teach more.
        rate: the learning rate at its highest; it rises over the first tenth of the steps and then falls to 0.
        seed: of the order and of dropout.
    """

    epochs: int = 2
    batch: int = 16
    rate: float = 2e-5
    seed: int = 0


def examples(
    reader: Reader, info: EmbedderInfo, asked: Sequence[Asked], tell: Callable[[int], None] | None = None
) -> list[Example]:
    """Examples from what an index finds for judged questions, in their order.

    Of the candidates of a question the two that hold most of its gold answer it, the best ranked that hold none do not. A
    question of which no candidate holds any gold, or every one does, gives no example.
    """
    out: list[Example] = []
    for done, one in enumerate(asked, 1):
        out.extend(_of(reader, info, one))
        if tell is not None:
            tell(done)
    return out


def _of(reader: Reader, info: EmbedderInfo, one: Asked) -> list[Example]:
    """The examples of one question."""
    found, held = retrieve(reader, request(one, 1)).found, holder(one.gold)
    share = np.array([held(chunk.text) for chunk in found.chunks])
    if not share.any():
        return []
    headers = [f"{chunk.header}\n" if chunk.header else "" for chunk in found.chunks]
    texts = [f"{info.passage_prefix}{header}{c.text}" for header, c in zip(headers, found.chunks, strict=True)]
    ranked = np.argsort(-found.fused(reader.weights), kind="stable")
    wrong = [texts[n] for n in ranked if share[n] == 0][:NEGATIVES]
    right = [texts[n] for n in np.argsort(-share, kind="stable")[:_POSITIVES] if 2 * share[n] >= share.max()]
    if not wrong:
        return []
    negatives = tuple(wrong[n % len(wrong)] for n in range(NEGATIVES))
    return [Example(info.query_prefix + one.judged.question, text, negatives) for text in right]


def train(
    model: Path, out: Path, learn: Sequence[Example], training: Training | None = None, tell: Tell | None = None
) -> list[float]:
    """Trains a model's copy and writes it to a new folder, whole or not at all; gives the mean loss of each epoch.

    The folder is an ordinary sentence-transformers model. The model itself is left as it is, as is the state of torch's random
    numbers. On the same machine the same examples give the same weights.

    Args:
        model: folder of a sentence-transformers model.
        out: a folder that does not exist yet, or is empty.
        learn: at least two examples.
        training: how; None: as it works for small models.
        tell: is told ("train", steps done, of how many).

    Raises:
        InputError: `out` holds something, or there is too little to learn from.
        EmbedderError: the model does not load.
    """
    import torch

    from contextkit.embedding.general import quiet

    how = training or Training()
    if len(learn) < 2:
        raise InputError(
            f"{len(learn)} examples are too few to train an embedder: judge more questions whose gold the index finds"
        )
    with _made(out) as draft, torch.random.fork_rng(), quiet():
        torch.manual_seed(how.seed)
        loaded = _loaded(model)
        losses = _steps(loaded, learn, how, tell)
        loaded.eval().save_pretrained(str(draft), create_model_card=False)
    return losses


def batches(learn: Sequence[Example], size: int, seed: int) -> list[list[Example]]:
    """The examples in a new order, in batches in which what answers one question is not there as another's answer or negative.

    What is elsewhere in a batch counts as wrong, so it must not be right. The last batches may be small.
    """
    order = list(learn)
    random.Random(seed).shuffle(order)  # noqa: S311 - an order, not a secret
    full: list[list[Example]] = []
    filling: list[list[Example]] = []
    for example in order:
        place = next((batch for batch in filling if not any(_clash(example, other) for other in batch)), None)
        if place is None:
            place = []
            filling.append(place)
        place.append(example)
        if len(place) == size:
            full.append(place)
            filling = [batch for batch in filling if batch is not place]
    return [*full, *filling]


def _clash(a: Example, b: Example) -> bool:
    return a.positive == b.positive or a.positive in b.negatives or b.positive in a.negatives


def _steps(model: SentenceTransformer, learn: Sequence[Example], how: Training, tell: Tell | None) -> list[float]:
    import torch
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    plan = [batches(learn, how.batch, how.seed + epoch) for epoch in range(how.epochs)]
    total = sum(map(len, plan))
    warm = max(1, total // 10)
    loss_of = MultipleNegativesRankingLoss(model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=how.rate)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (total - step) / max(1, total - warm), 1.0)
    )
    model.train()
    losses, done = [], 0
    for epoch in plan:
        of_epoch = []
        for batch in epoch:
            optimizer.zero_grad()
            loss = loss_of(_columns(model, batch), torch.empty(0))
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
            optimizer.step()
            rate.step()
            of_epoch.append(float(loss.detach()))
            done += 1
            if tell is not None:
                tell("train", done, total)
        losses.append(float(np.mean(of_epoch)))
    if not np.isfinite(losses).all():
        raise EmbedderError(f"training ended with a loss that is no number ({losses}): give fewer questions or a lower rate")
    return losses


def _columns(model: SentenceTransformer, batch: Sequence[Example]) -> list[dict[str, torch.Tensor]]:
    """Questions, positives and each row of negatives as the model reads them."""
    texts = [[e.question for e in batch], [e.positive for e in batch]]
    texts += [[e.negatives[n] for e in batch] for n in range(NEGATIVES)]
    read = [model.preprocess(column) for column in texts]
    return [{name: value.to(model.device) for name, value in one.items() if hasattr(value, "to")} for one in read]


def _loaded(model: Path) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    try:
        return SentenceTransformer(str(model), local_files_only=True)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise EmbedderError(f"the model {str(model)!r} does not load for training: {error}") from error


@contextmanager
def _made(out: Path) -> Iterator[Path]:
    """A folder to write to that becomes `out` at the end of the block, and is gone after an error."""
    check_new(out)
    draft = out.with_name(f".{out.name}.{os.getpid()}.new")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield draft
        if out.is_dir():
            out.rmdir()
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_new(out: Path) -> None:
    """Raises InputError where a folder to be made is a file, or holds something."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} exists already: name a new folder for the trained model")
