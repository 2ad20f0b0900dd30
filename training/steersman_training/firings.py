"""Every firing of every feature in some documents, held in memory and sorted by feature.

Shapes: `tokens` all tokens of all documents, one document after another; `firings` all activations
above zero. Attention sinks are tokens, but nothing fires there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress

from steersman_engine.host import HostModel
from steersman_engine.sae import SAE
from steersman_engine.sinks import is_sink
from steersman_training.harvest import GROUP_DOCUMENTS, Document, residuals


@dataclass(frozen=True, slots=True, kw_only=True)
class Firings:
    """What fired where."""

    documents: list[str]
    """Ids of the chats."""
    starts: np.ndarray
    """Where each document begins among the tokens, and where the last one ends: `[documents + 1]`."""
    token: np.ndarray
    """Token ids `[tokens]`."""
    role: np.ndarray
    """Index into ROLES `[tokens]`."""
    counted: np.ndarray
    """False at attention sinks `[tokens]`."""
    feature_starts: np.ndarray
    """Where each feature begins among the firings, and where the last one ends: `[d_sae + 1]`."""
    where: np.ndarray
    """Index of the token, ascending within a feature `[firings]`."""
    value: np.ndarray
    """The activation, in residual units, float32 `[firings]`."""

    @property
    def d_sae(self) -> int:
        """Number of features, those that never fired included."""
        return len(self.feature_starts) - 1

    @property
    def num_tokens(self) -> int:
        """Number of tokens that count: all but attention sinks."""
        return int(self.counted.sum())

    def of(self, feature: int) -> tuple[np.ndarray, np.ndarray]:
        """Where one feature fired, ascending, and its activations there."""
        span = slice(self.feature_starts[feature], self.feature_starts[feature + 1])
        return self.where[span], self.value[span]

    def document_of(self, where: np.ndarray) -> np.ndarray:
        """Which document each of some tokens is in."""
        return np.searchsorted(self.starts, where, side="right") - 1


def collect(
    host: HostModel,
    sae: SAE,
    stream: Iterator[Document],
    *,
    tokens: int,
    sink_norm: float,
    batch_tokens: int,
) -> Firings:
    """Run documents through the model and the SAE until about `tokens` tokens are read, or all are."""
    ids, lengths, parts, total = [], [], [], 0
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("Reading chats", total=tokens)
        while total < tokens and (group := list(islice(stream, GROUP_DOCUMENTS))):
            for document, resid in residuals(host, group, batch_tokens=batch_tokens):
                sink = is_sink(resid, sink_norm)
                feature_acts = sae.encode(resid.float()).masked_fill(sink[:, None], 0)
                at, feature = feature_acts.nonzero(as_tuple=True)
                part = {
                    "token": np.array(document.prompt.token_ids, np.int32),
                    "role": np.array(document.prompt.roles, np.uint8),
                    "counted": ~sink.cpu().numpy(),
                    "where": (at + total).cpu().numpy().astype(np.int32),
                    "feature": feature.cpu().numpy().astype(np.min_scalar_type(sae.d_sae - 1)),
                    "value": feature_acts[at, feature].to("cpu", torch.float32).numpy(),
                }
                ids.append(document.id)
                lengths.append(len(resid))
                parts.append(part)
                total += len(resid)
                progress.advance(task, len(resid))
    if not parts:
        raise ValueError("The source has no chat in its labelling split: give one with more chats.")
    columns = {name: np.concatenate([part.pop(name) for part in parts]) for name in list(parts[0])}
    feature = columns.pop("feature")
    order = np.argsort(feature, kind="stable")  # a radix sort for 16 bits
    counts = np.bincount(feature, minlength=sae.d_sae)
    return Firings(
        documents=ids,
        starts=np.concatenate([[0], np.cumsum(lengths)]),
        feature_starts=np.concatenate([[0], np.cumsum(counts)]),
        where=columns.pop("where")[order],
        value=columns.pop("value")[order],
        **columns,
    )
