"""Which pieces of text stand for a feature."""

import numpy as np

from steersman_catalog.rows import ExampleRow, PassageRow
from steersman_engine.prompt import ROLES
from steersman_training.firings import Firings

STRATA = 5
TOP = 5
"""Documents in which the feature is highest."""
A_STRATUM = 2
"""More, drawn at random from each fifth of the range from 0 to h_max."""
BEFORE, AFTER = 24, 7
"""Tokens shown before and after the peak."""


class ExampleDraw:
    """Draws examples; `seed` fixes which. Their ids count up as they are drawn."""

    def __init__(self, firings: Firings, seed: int) -> None:
        self._firings = firings
        self._seed = seed
        self._dense = np.zeros(len(firings.token), np.float32)  # one feature's activations at a time
        self._drawn = 0

    def draw(self, feature: int) -> list[ExampleRow]:
        """Examples of one feature, highest first; a document comes once, with its highest position."""
        where, value = self._firings.of(feature)
        if not len(where):
            return []
        peaks = self._peaks(where, value)
        h_max = value[peaks[0]]
        strata = np.minimum((value[peaks].astype(float) * STRATA / h_max).astype(int), STRATA - 1)
        chosen = self._choose(strata, np.random.default_rng([self._seed, feature]))
        self._dense[where] = value
        examples = [self._example(feature, int(where[peaks[i]]), int(strata[i])) for i in chosen]
        self._dense[where] = 0
        return examples

    def _peaks(self, where: np.ndarray, value: np.ndarray) -> np.ndarray:
        """Index of the highest firing of each document, highest first; the earlier of two equal ones."""
        order = np.argsort(-value, kind="stable")
        _, first = np.unique(self._firings.document_of(where[order]), return_index=True)
        return order[np.sort(first)]

    def _choose(self, strata: np.ndarray, random: np.random.Generator) -> list[int]:
        rest = np.arange(TOP, len(strata))
        chosen = list(range(min(TOP, len(strata))))
        for stratum in range(STRATA):
            there = rest[strata[rest] == stratum]
            chosen += random.choice(there, min(A_STRATUM, len(there)), replace=False).tolist()
        return sorted(chosen)

    def _example(self, feature: int, where: int, stratum: int) -> ExampleRow:
        firings = self._firings
        document = int(firings.document_of(np.array([where]))[0])
        start, end = firings.starts[document], firings.starts[document + 1]
        begin, stop = max(start, where - BEFORE), min(end, where + AFTER + 1)
        window = self._dense[begin:stop]
        places = np.flatnonzero(window)
        self._drawn += 1
        return ExampleRow(
            example=self._drawn - 1,
            feature=feature,
            passage=document,
            start=int(begin - start),
            length=int(stop - begin),
            peak=int(where - begin),
            role=ROLES[firings.role[where]],
            stratum=stratum,
            places=places.tolist(),
            activations=window[places].tolist(),
        )


def passages_of(firings: Firings) -> list[PassageRow]:
    """The documents that examples are cut from."""
    return [
        PassageRow(
            passage=index,
            document=name,
            split="explain",
            tokens=firings.token[firings.starts[index] : firings.starts[index + 1]].tolist(),
        )
        for index, name in enumerate(firings.documents)
    ]
