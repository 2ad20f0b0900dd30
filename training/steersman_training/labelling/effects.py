"""Which features are explained by what they do, and on which texts that is seen."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from steersman_training.labelling.causal import Causal
from steersman_training.labelling.corpus import SPLITS, Corpus
from steersman_training.labelling.protocols import Effects, FeatureEvidence

CONTEXTS = 2
"""Texts that end where the feature fires."""
CONTEXT_TOKENS = 16
OTHERS = 4
"""Ordinary texts on which it is raised."""
OTHER_TOKENS = 12


@dataclass(frozen=True)
class EffectMaker:
    """Raises and ablates features on explain documents; `seed` fixes the ordinary texts."""

    causal: Causal
    corpus: Corpus
    seed: int

    def make(self, evidence: Sequence[FeatureEvidence]) -> Iterator[tuple[int, Effects | None]]:
        """What each feature does; None where it does not fire on its own examples cut short."""
        others = self._others()
        first = {
            name: int(start) for name, start in zip(self.corpus.documents, self.corpus.starts, strict=False)
        }
        contexts: list[list[list[int]]] = []
        for one in evidence:
            contexts.append([])
            for example in one.examples[:CONTEXTS]:
                start = int(example.id.rsplit(":", 1)[1])
                end = first[example.document] + start + example.peak + 1
                begin = max(first[example.document] + 1, end - CONTEXT_TOKENS)
                contexts[-1].append(self.corpus.token[begin:end].tolist())
        features = [one.feature for one in evidence]
        made = self.causal.effects(features, [one.h_max for one in evidence], contexts, others)
        yield from zip(features, made, strict=True)

    def _others(self) -> Tensor:
        random = np.random.default_rng([self.seed, 13])
        tiles = np.flatnonzero(self.corpus.tile_split == SPLITS.index("explain"))
        long = tiles[np.diff(self.corpus.tiles[tiles])[:, 0] >= OTHER_TOKENS]
        chosen = random.permutation(long)[:OTHERS]
        texts = [
            self.corpus.token[begin : begin + OTHER_TOKENS].tolist() for begin in self.corpus.tiles[chosen, 0]
        ]
        return self.causal.silent(texts)
