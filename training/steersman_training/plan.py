"""What a harvest will read, how large it will be and how long it will take: known before it begins."""

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from steersman_engine.host import HostModel
from steersman_engine.sinks import sink_norm_of
from steersman_training.chats import Chats
from steersman_training.documents import Document, padded
from steersman_training.residuals import residuals_at

SAMPLE_DOCUMENTS = 256
TIMED_BATCHES = 3
BYTES_BESIDE_RESIDUAL = 14  # token, document and position, role and kind
FULL = 0.97
"""How much of the free disk a harvest may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is still to be done."""

    folder: Path
    tokens: int
    """To harvest, about."""
    bytes: int
    """To write."""
    free: int
    """Bytes of the disk."""
    tokens_per_s: float
    """Of all processes together."""
    lacking: int
    """How many of the tokens that were asked for the source does not have."""

    def __str__(self) -> str:
        text = f"{self.folder}: about {self.tokens:,} tokens to harvest, {_bytes(self.bytes)} to write"
        text += f" ({_bytes(self.free)} free), {_duration(self.tokens / self.tokens_per_s)}"
        text += f" at {self.tokens_per_s:,.0f} tokens/s."
        if self.lacking:
            text += f" The source is about {self.lacking:,} tokens short of what was asked for."
        return text

    def check(self) -> None:
        """Refuse what does not fit.

        Raises:
            ValueError: The disk is too small.
        """
        if self.bytes > FULL * self.free:
            a_token = self.bytes / max(1, self.tokens)
            raise ValueError(
                f"{self.folder} has {_bytes(self.free)} free; the harvest needs {_bytes(self.bytes)}. Make"
                f" room, ask for fewer tokens ({int(FULL * self.free / a_token):_} fit), or"
                " harvest into a ring (--ring)."
            )


def free_bytes(folder: Path) -> int:
    """Of the disk that `folder` is, or will be, on."""
    while not folder.exists():
        folder = folder.absolute().parent
    return shutil.disk_usage(folder).free


def bytes_a_token(d_model: int, num_layers: int) -> int:
    """On disk."""
    return num_layers * (2 * d_model + BYTES_BESIDE_RESIDUAL)


def expected_lengths(
    chats: Chats, order: np.ndarray, sample: Sequence[Document], *, max_length: int
) -> np.ndarray:
    """About how many tokens each document of `order` has, judged by its text and a rendered sample."""
    characters = chats.characters(order).astype(np.float64)
    lengths = np.array([len(document.prompt) for document in sample], np.float64)
    seen = characters[: len(sample)]
    whole = lengths < max_length
    rate = lengths[whole].sum() / seen[whole].sum() if whole.any() else max_length
    expected = np.minimum(max_length, rate * characters)
    return expected * (lengths.sum() / expected[: len(sample)].sum())


def documents_for(lengths: np.ndarray, tokens: int, *, per_shard: int) -> int:
    """How many documents reach `tokens`: whole shards of them, or all there are."""
    count = int(np.searchsorted(np.cumsum(lengths), tokens)) + 1
    return min(len(lengths), -(-count // per_shard) * per_shard)


def measure(
    host: HostModel, sample: Sequence[Document], layers: Sequence[int], *, batch_tokens: int
) -> tuple[list[float], float]:
    """The norm of attention sinks at each layer, from the first document; and tokens a second."""
    first = torch.tensor([sample[0].prompt.token_ids], device=host.device)
    norms = [sink_norm_of(resid.float().norm(dim=-1)) for resid in residuals_at(host, first, layers)]
    whole = list(padded(sample, batch_tokens=batch_tokens))
    tokens, begin = 0, time.perf_counter()
    for batch, input_ids in whole[:: -(-len(whole) // TIMED_BATCHES)]:
        residuals_at(host, input_ids.to(host.device), layers)[0].norm().item()  # waits for the device
        tokens += sum(len(document.prompt) for document in batch)
    return norms, tokens / (time.perf_counter() - begin)


def _bytes(count: float) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"


def _duration(seconds: float) -> str:
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{seconds:.0f} s"
