"""An embedder trained on judged questions: the loss, a short training loop, and the folder that comes of it.

A question is drawn towards the passage that answers it and away from those that were found for it and do not, and from all that
stands beside it in the batch: the multiple negatives ranking loss (Henderson et al. 2017, "Efficient natural language response
suggestion for Smart Reply", section 4.4) with mined hard negatives. The same for the sentences in them, whose vectors are means
over their tokens' states in the passage, as in the index: they come out of the same pass.

Two things keep what the model knew. The learning is short, and what is written lies between the model before and the trained one
(Wortsman et al. 2022, "Robust fine-tuning of zero-shot models"). Memory does not grow with the batch: vectors are made first,
then the gradient of each few passages by itself (Gao et al. 2021, "Scaling deep contrastive learning batch size under memory
limited setup"). Plain torch: the trainer of sentence-transformers needs further packages for nothing that is used here, and
knows no sentences inside a passage. What is learned from is made in `examples.py`; whether it helps is judged in `tuning.py`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from contextkit.errors import EmbedderError, InputError
from contextkit.evaluation.examples import Example, Passage, batches

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer

_SCALE = 20.0  # of cosines in the losses, as sentence-transformers has it
_CLIP = 1.0  # the longest step of a gradient
_AT_ONCE = 2_048  # tokens whose states are in memory with all that their gradient needs

Tell = Callable[[str, int, int | None], None]


@dataclass(frozen=True, slots=True)
class Training:
    """How an embedder is trained.

    Attributes:
        epochs: how often each example is seen.
        batch: examples in a step; what answers the others counts as wrong, so that more teach more.
        rate: the learning rate at its highest; it rises over the first tenth of the steps and then falls to 0.
        sentences: what the loss over sentences counts beside that over passages.
        mix: how far what is written lies from the model before (0) to the trained one (1), weight by weight.
        seed: of the order.
    """

    epochs: int = 1
    batch: int = 8
    rate: float = 2e-5
    sentences: float = 1.0
    mix: float = 0.5
    seed: int = 0


def train(
    model: Path, out: Path, learn: Sequence[Example], training: Training | None = None, tell: Tell | None = None
) -> list[float]:
    """Trains a model's copy and writes it to a new folder, whole or not at all; gives the mean loss of each epoch.

    The folder is an ordinary sentence-transformers model. The model itself is left as it is, as is the state of torch's random
    numbers. On the same machine the same examples give the same weights.

    Args:
        model: folder of a sentence-transformers model, a transformer with pooling.
        out: a folder that does not exist yet, or is empty.
        learn: at least two examples, made for this model.
        training: how; None: as it works for small models.
        tell: is told ("train", steps done, of how many).

    Raises:
        InputError: `out` holds something, or there is too little to learn from.
        EmbedderError: what training needs is not installed, the model does not load or is of a kind that is not trained here,
            or the loss came to be no number.
    """
    how = training or Training()
    if len(learn) < 2:
        raise InputError(
            f"{len(learn)} examples are too few to train an embedder: judge more questions whose gold the index finds"
        )
    check_new(out)
    check_installed()
    import torch

    from contextkit.embedding.general import quiet

    with new_folder(out) as draft, torch.random.fork_rng(), quiet():
        torch.manual_seed(how.seed)
        loaded = _loaded(model)
        before = {name: value.clone() for name, value in loaded.state_dict().items()}
        losses = _steps(_Net(loaded), learn, how, tell)
        loaded.load_state_dict({name: _between(before[name], now, how.mix) for name, now in loaded.state_dict().items()})
        loaded.save_pretrained(str(draft), create_model_card=False)
    return losses


def check_installed() -> None:
    """Raises EmbedderError where what training needs is not there: an index can be used without it."""
    for name in ("torch", "sentence_transformers"):
        try:
            __import__(name)
        except ImportError as error:
            package = name.replace("_", "-")
            raise EmbedderError(
                f"training an embedder needs the package {package!r}, which is not installed ({error}): pip install {package}; "
                "fitting the weights alone needs no such thing"
            ) from error


class _Net:
    """A model that gives vectors of token ids, of passages and of the sentences in them, with their gradient."""

    def __init__(self, model: SentenceTransformer) -> None:
        self.model, self._modules = model, list(model)
        kinds = [type(module).__name__ for module in self._modules]
        if kinds[:2] != ["Transformer", "Pooling"]:
            raise EmbedderError(f"a model made of {', '.join(kinds)} is not trained here, only a Transformer with Pooling")
        self._device = model.device
        self._pad = int(getattr(model.tokenizer, "pad_token_id", None) or 0)

    def questions(self, ids: Sequence[NDArray[np.int32]]) -> torch.Tensor:
        """Unit vectors of questions, (n, dimension)."""
        from torch.nn.functional import normalize

        return normalize(self._through(self._states(ids), 1), dim=1)

    def passages(self, passages: Sequence[Passage]) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit vectors of passages, (n, dimension), and of all their sentences one after the other, (m, dimension)."""
        from torch.nn.functional import normalize

        from contextkit.embedding.pooling import flat_owners, mean_by

        features = self._states([one.ids for one in passages])
        states = features["token_embeddings"][features["attention_mask"].bool()]
        sizes = [one.sentences for one in passages]
        owners = flat_owners([one.owners for one in passages], sizes).to(self._device)
        means = mean_by(states, owners, sum(sizes))
        inner = self._through({"sentence_embedding": means}, 2)
        return normalize(self._through(features, 1), dim=1), normalize(inner, dim=1)

    def _states(self, ids: Sequence[NDArray[np.int32]]) -> dict[str, torch.Tensor]:
        """The token states of texts, padded to the longest, as the transformer gives them to its pooling."""
        import torch

        padded = torch.full((len(ids), max(map(len, ids))), self._pad)
        mask = torch.zeros_like(padded)
        for row, text in enumerate(ids):
            padded[row, : len(text)] = torch.from_numpy(text)
            mask[row, : len(text)] = 1
        padded, mask = padded.to(self._device), mask.to(self._device)
        with _arithmetic(self._device.type):
            features = self._modules[0]({"input_ids": padded, "attention_mask": mask})
        return {**features, "token_embeddings": features["token_embeddings"].float()}

    def _through(self, features: dict[str, torch.Tensor], first: int) -> torch.Tensor:
        for module in self._modules[first:]:
            features = module(features)
        return features["sentence_embedding"].float()


def _arithmetic(device: str) -> AbstractContextManager[object]:
    """bfloat16 where it is multiplied natively, which halves the time; else float32. Weights stay float32."""
    import torch

    from contextkit.embedding.encoders import native_precision

    native = native_precision() == "bfloat16" if device == "cpu" else device == "cuda"
    return torch.autocast(device, torch.bfloat16) if native else nullcontext()


def _steps(net: _Net, learn: Sequence[Example], how: Training, tell: Tell | None) -> list[float]:
    """Trains, and gives the mean loss of each epoch. Dropout stays off: a short training does not need it, and it takes time."""
    import torch

    plan = [batches(learn, how.batch, how.seed + epoch) for epoch in range(how.epochs)]
    total = sum(map(len, plan))
    warm = max(1, total // 10)
    optimizer = torch.optim.AdamW(net.model.parameters(), lr=how.rate)
    rate = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / warm, (total - step) / max(1, total - warm), 1.0)
    )
    net.model.eval()
    losses, done = [], 0
    for epoch in plan:
        of_epoch = []
        for batch in epoch:
            if tell is not None:
                tell("train", done, total)
            optimizer.zero_grad()
            of_epoch.append(_learned(net, batch, how.sentences))
            if not np.isfinite(of_epoch[-1]):
                raise EmbedderError(f"training came to a loss that is no number in step {done + 1} of {total}: lower the rate")
            torch.nn.utils.clip_grad_norm_(net.model.parameters(), _CLIP)
            optimizer.step()
            rate.step()
            done += 1
        losses.append(float(np.mean(of_epoch)))
    if tell is not None:
        tell("train", total, total)
    return losses


def _learned(net: _Net, batch: Sequence[Example], sentences: float) -> float:
    """Adds the gradient of a batch to the model's, a few passages at a time, and gives the batch's loss."""
    import torch

    passages = [*(e.positive for e in batch), *(one for e in batch for one in e.negatives)]
    parts = list(_parts(passages))
    with torch.no_grad():
        made = [net.passages(part) for part in parts]
    whole, inner = (torch.cat(vectors).requires_grad_() for vectors in zip(*made, strict=True))
    asked = net.questions([e.ids for e in batch])
    loss = _loss(asked, whole, inner, _answers(batch, passages).to(asked.device), sentences)
    loss.backward()  # type: ignore[no-untyped-call]  # theirs
    pulls = (_pulls(leaf, [len(one[n]) for one in made]) for n, leaf in enumerate((whole, inner)))
    for part, *pull in zip(parts, *pulls, strict=True):
        torch.autograd.backward(net.passages(part), pull)
    return float(loss.detach())


def _pulls(vectors: torch.Tensor, sizes: list[int]) -> Sequence[torch.Tensor]:
    """The gradient by the vectors, part by part; 0 where the loss did not ask for them (no sentence answers)."""
    import torch

    return torch.split(torch.zeros_like(vectors) if vectors.grad is None else vectors.grad, sizes)


def _parts(passages: Sequence[Passage]) -> Iterator[list[Passage]]:
    """The passages in order, so many at once as fit in memory beside their gradient."""
    part: list[Passage] = []
    for one in passages:
        if part and (len(part) + 1) * max(len(one.ids), *(len(p.ids) for p in part)) > _AT_ONCE:
            yield part
            part = []
        part.append(one)
    yield part


def _answers(batch: Sequence[Example], passages: Sequence[Passage]) -> torch.Tensor:
    """Which sentences answer which question: bool, (questions, sentences of all passages)."""
    import torch

    firsts = np.cumsum([0, *(one.sentences for one in passages)])
    out = torch.zeros((len(batch), int(firsts[-1])), dtype=torch.bool)
    for row, example in enumerate(batch):
        out[row, [int(firsts[row]) + n for n in example.answers]] = True
    return out


def _loss(
    asked: torch.Tensor, passages: torch.Tensor, sentences: torch.Tensor, answers: torch.Tensor, share: float
) -> torch.Tensor:
    """How unlikely it is that each question picks its passage (they are the first ones), and one of its sentences."""
    import torch
    from torch.nn.functional import cross_entropy

    of_passages = cross_entropy(_SCALE * asked @ passages.T, torch.arange(len(asked), device=asked.device))
    known = answers.any(dim=1)
    if not known.any():
        return of_passages
    scores = _SCALE * asked[known] @ sentences.T
    right = torch.logsumexp(scores.masked_fill(~answers[known], -torch.inf), dim=1)
    return of_passages + share * (torch.logsumexp(scores, dim=1) - right).mean()


def _between(before: torch.Tensor, now: torch.Tensor, mix: float) -> torch.Tensor:
    """A weight so far from one to the other; what is no fraction stays as it is."""
    return before + mix * (now - before) if now.is_floating_point() else now


def _loaded(model: Path) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer

    settings = {"attn_implementation": "eager"}  # twice as fast as the fused one backwards on a processor
    try:
        return SentenceTransformer(str(model), local_files_only=True, model_kwargs=settings)
    except (OSError, ValueError, RuntimeError, KeyError, TypeError) as error:
        raise EmbedderError(f"the model {str(model)!r} does not load for training: {error}") from error


@contextmanager
def new_folder(out: Path) -> Iterator[Path]:
    """A folder to write to that becomes `out` at the end of the block, and is gone after an error.

    Raises:
        InputError: `out` is a file, or holds something.
    """
    check_new(out)
    draft = out.with_name(f".{out.name}.{os.getpid()}.new")
    out.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield draft
        for path in draft.rglob("*"):
            if path.is_file():
                with path.open("rb") as file:
                    os.fsync(file.fileno())
        if out.is_dir():
            out.rmdir()
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def check_new(out: Path) -> None:
    """Raises InputError where a folder to be made is a file, or holds something."""
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise InputError(f"{out} exists already: name a new folder for the trained model")
