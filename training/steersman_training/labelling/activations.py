"""Reading what the collect pass kept, some features at a time."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from safetensors import safe_open

from steersman_training.labelling.collect import part_tokens
from steersman_training.labelling.corpus import Corpus
from steersman_training.labelling.stage import Stage


@dataclass(frozen=True, slots=True)
class Block:
    """All firings of the features `first` to `stop`, sorted by feature, then place."""

    first: int
    starts: np.ndarray
    """Where each feature begins among the firings `[features + 1]`."""
    where: np.ndarray
    """Index of the token in the corpus `[firings]`."""
    value: np.ndarray
    """Residual units, float32 `[firings]`."""

    @property
    def features(self) -> range:
        """Which features these are."""
        return range(self.first, self.first + len(self.starts) - 1)

    def of(self, feature: int) -> tuple[np.ndarray, np.ndarray]:
        """Where one feature fired, ascending, and its activations there."""
        at = feature - self.first
        span = slice(self.starts[at], self.starts[at + 1])
        return self.where[span], self.value[span]


class Activations:
    """Every firing of every feature in a corpus."""

    def __init__(self, corpus: Corpus, stage: Stage) -> None:
        assert stage.done, "The collect pass is not done."
        self.corpus = corpus
        self.key = stage.key
        self._paths = [stage.path(number) for number in range(stage.parts)]
        self._begin = [part_tokens(corpus, number).start for number in range(stage.parts)]
        self._starts, counted = [], []
        for path in self._paths:
            with safe_open(path, framework="numpy") as file:
                self._starts.append(file.get_tensor("feature_starts"))
                counted.append(file.get_tensor("counted"))
        self.counted = np.concatenate(counted)
        """False at attention sinks `[tokens]`."""

    @property
    def d_sae(self) -> int:
        """Number of features, those that never fired included."""
        return len(self._starts[0]) - 1

    @property
    def num_tokens(self) -> int:
        """Number of tokens that count: all but attention sinks."""
        return int(self.counted.sum())

    @property
    def num_firings(self) -> np.ndarray:
        """On how many tokens each feature fires `[d_sae]`."""
        return np.sum([np.diff(starts) for starts in self._starts], axis=0)

    def block(self, first: int, stop: int) -> Block:
        """The firings of features `first` to `stop`."""
        wheres, values, features = [], [], []
        for path, begin, starts in zip(self._paths, self._begin, self._starts, strict=True):
            low, high = int(starts[first]), int(starts[stop])
            with safe_open(path, framework="numpy") as file:
                wheres.append(file.get_slice("where")[low:high].astype(np.int64) + begin)
                values.append(file.get_slice("value")[low:high])
            features.append(np.repeat(np.arange(stop - first), np.diff(starts[first : stop + 1])))
        feature = np.concatenate(features)
        order = np.argsort(feature, kind="stable")  # parts are in the order of the tokens already
        counts = np.bincount(feature, minlength=stop - first)
        return Block(
            first,
            np.concatenate([[0], np.cumsum(counts)]),
            np.concatenate(wheres)[order],
            np.concatenate(values)[order],
        )

    def blocks(self, size: int = 512) -> Iterator[Block]:
        """All features, `size` at a time."""
        for first in range(0, self.d_sae, size):
            yield self.block(first, min(first + size, self.d_sae))
