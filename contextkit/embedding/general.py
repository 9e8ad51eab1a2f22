"""Any sentence-transformers model, by sentence-transformers itself: the path for what `bert.py` does not compute.

The passage vector is what the model's own modules give; sentence vectors are means over token states, sent through the modules
that follow the pooling (a dense layer, a normalisation).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from contextkit.embedding.pooling import finished, flat_owners, mean_by
from contextkit.errors import EmbedderError

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer

    from contextkit.embedding.folder import ModelFolder

_UNLIMITED = 1 << 20  # for models that read a text of any length


class SentenceTransformerEncoder:
    """A model loaded by sentence-transformers, fed with token ids (protocol `encoders.Encoder`).

    Args:
        folder: the model.
        dtype: the type to compute in.

    Raises:
        EmbedderError: the model is of a kind that gives neither token states nor can be fed with token ids.
    """

    batch_tokens = 4096
    step = 1

    def __init__(self, folder: ModelFolder, dtype: torch.dtype) -> None:
        from sentence_transformers import SentenceTransformer

        with quiet():
            model = SentenceTransformer(
                str(folder.path), device="cpu", local_files_only=True, model_kwargs={"dtype": dtype} if folder.config else {}
            )
        self._dtype = dtype
        self._model: SentenceTransformer = model.to(dtype).eval()
        self._modules = list(self._model)
        kinds = [type(module).__name__ for module in self._modules]
        self._static = folder.static
        if not self._static and kinds[:2] != ["Transformer", "Pooling"]:
            raise EmbedderError(
                f"the model {str(folder.path)!r} is made of {', '.join(kinds)}: only a Transformer with Pooling "
                "or a StaticEmbedding works here; anything else needs a plug-in of the group 'contextkit.embedders'"
            )
        self.dimension = int(self._model.get_embedding_dimension() or 0)
        self.window = int(_UNLIMITED if self._static else self._model.max_seq_length or folder.window or 512)
        self._pad = int(getattr(self._model.tokenizer, "pad_token_id", None) or 0)

    def vectors(
        self, ids: Sequence[NDArray[np.int32]], owners: Sequence[NDArray[np.int32]] | None, sizes: Sequence[int]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """See `encoders.Encoder`."""
        import torch

        with torch.inference_mode():
            flat = None if owners is None else flat_owners(owners, sizes)
            pooled = self._pooled_static if self._static else self._pooled
            passages, sentences = pooled(ids, flat, sum(sizes))
            return finished(passages), None if sentences is None else finished(sentences)

    def _pooled(
        self, ids: Sequence[NDArray[np.int32]], owners: torch.Tensor | None, count: int
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        import torch

        longest = max(len(text) for text in ids)
        padded = torch.full((len(ids), longest), self._pad)
        mask = torch.zeros((len(ids), longest), dtype=torch.long)
        for row, text in enumerate(ids):
            padded[row, : len(text)] = torch.from_numpy(text)
            mask[row, : len(text)] = 1
        features = {"input_ids": padded, "attention_mask": mask}
        features = self._modules[0](features)
        states = features["token_embeddings"][mask.bool()].float()
        passages = self._through(features, first=1)
        if owners is None:
            return passages, None
        return passages, self._finished(mean_by(states, owners, count), first=2)

    def _through(self, features: dict[str, torch.Tensor], *, first: int) -> torch.Tensor:
        """What the modules from that one on make of the features, float32 (n, dimension)."""
        for module in self._modules[first:]:
            features = module(features)
        return features["sentence_embedding"].float()

    def _finished(self, means: torch.Tensor, *, first: int) -> torch.Tensor:
        """Means after the modules from that one on; a zero stays zero, whatever a dense layer would add to it."""
        empty = ~means.any(dim=1, keepdim=True)
        return self._through({"sentence_embedding": means.to(self._dtype)}, first=first).masked_fill(empty, 0)

    def _pooled_static(
        self, ids: Sequence[NDArray[np.int32]], owner: torch.Tensor | None, count: int
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Means of the tokens' own vectors; there are no states that the context has changed."""
        import torch

        flat = torch.cat([torch.from_numpy(text) for text in ids]).long()
        table = cast("torch.nn.EmbeddingBag", self._modules[0].embedding).weight
        states = table[flat].float()
        rows = torch.repeat_interleave(torch.tensor([len(text) for text in ids]))
        passages = self._finished(mean_by(states, rows, len(ids)), first=1)
        if owner is None:
            return passages, None
        return passages, self._finished(mean_by(states, owner, count), first=1)


def convert_tokenizer(folder: ModelFolder) -> Tokenizer:
    """The fast form of a tokenizer that has no `tokenizer.json`.

    Raises:
        EmbedderError: transformers has no fast form of it.
    """
    from transformers import AutoTokenizer

    try:
        with quiet():
            loaded = AutoTokenizer.from_pretrained(str(folder.tokenizer.parent), local_files_only=True, use_fast=True)
    except (OSError, ValueError, ImportError) as error:
        raise EmbedderError(f"the tokenizer of {str(folder.path)!r} does not load: {error}") from error
    fast = getattr(loaded, "backend_tokenizer", None)
    if fast is None:
        raise EmbedderError(f"the tokenizer of {str(folder.path)!r} has no fast form (tokenizer.json), which offsets need")
    return cast("Tokenizer", fast)


@contextmanager
def quiet() -> Iterator[None]:
    """Without the progress bars and notes that loading prints."""
    from transformers.utils import logging as transformers_logging

    shown, level = transformers_logging.is_progress_bar_enabled(), transformers_logging.get_verbosity()
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]  # theirs
    transformers_logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if shown:
            transformers_logging.enable_progress_bar()  # type: ignore[no-untyped-call]  # theirs
