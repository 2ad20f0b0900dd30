"""Each feature's firing tiles: what trials are made of, and what is verified silent.

A tile is *active* for a feature if it fires anywhere in it, *silent* if it fires nowhere. There is
nothing between: a tile in which it fires weakly is never a distractor.
"""

import numpy as np
from msgspec import Struct

from steersman_training.labelling.corpus import SPLITS, Corpus
from steersman_training.labelling.measure import NUM_STRATA, strata_of

DRAWN = {"dev": 20, "test": 32}
"""Active tiles kept of each feature in each split."""


class DrawnTile(Struct, frozen=True, array_like=True):
    """An active tile of one feature."""

    tile: int
    stratum: int
    """Of its largest activation."""
    peak: int
    """Index of that in the tile."""
    active: tuple[int, ...]
    """Indices of the tokens on which the feature fires."""


class Drawn(Struct, frozen=True):
    """One feature's active tiles, drawn at random, one a document and stratum; strata take turns.

    So the first n of them are as near uniform over the strata as there are tiles for it.
    """

    feature: int
    dev: tuple[DrawnTile, ...]
    test: tuple[DrawnTile, ...]
    silent_share: float
    """Of test tiles."""

    def of(self, split: str) -> tuple[DrawnTile, ...]:
        """Those of `dev` or `test`."""
        return self.dev if split == "dev" else self.test


def draw_tiles(
    feature: int, where: np.ndarray, value: np.ndarray, corpus: Corpus, h_max: float, seed: int
) -> Drawn:
    """Draw one feature's active tiles; `where`, `value` all its firings."""
    tile = corpus.tile_of[where]
    inside = tile >= 0
    where, value, tile = where[inside], value[inside], tile[inside]
    order = np.lexsort((where, -value, tile))
    _, first = np.unique(tile[order], return_index=True)
    peaks = order[first]  # the highest firing of each tile
    random = np.random.default_rng([seed, feature, 2])
    drawn = {}
    for split, count in DRAWN.items():
        there = peaks[corpus.tile_split[tile[peaks]] == SPLITS.index(split)]
        chosen = _take_turns(
            there, strata_of(value[there], h_max), corpus.document_of[where[there]], count, random
        )
        made = []
        for index, stratum in chosen:
            begin = int(corpus.tiles[tile[index], 0])
            low, high = np.searchsorted(tile, (tile[index], tile[index] + 1))  # tiles ascend with where
            made.append(
                DrawnTile(
                    int(tile[index]),
                    stratum,
                    int(where[index]) - begin,
                    tuple((where[low:high] - begin).tolist()),
                )
            )
        drawn[split] = tuple(made)
    tests = corpus.tile_split == SPLITS.index("test")
    fired = np.zeros(len(tests), bool)
    fired[tile] = True
    silent = float((tests & ~fired).sum() / max(1, tests.sum()))
    return Drawn(feature, drawn["dev"], drawn["test"], silent)


def _take_turns(
    peaks: np.ndarray, strata: np.ndarray, document: np.ndarray, count: int, random: np.random.Generator
) -> list[tuple[int, int]]:
    """Peaks and their strata: one from each stratum in turn, a document once in each."""
    queues = []
    for stratum in range(NUM_STRATA):
        there = random.permutation(np.flatnonzero(strata == stratum))
        _, first = np.unique(document[there], return_index=True)
        queues.append(there[np.sort(first)].tolist())
    chosen: list[tuple[int, int]] = []
    while len(chosen) < count and any(queues):
        for stratum in reversed(range(NUM_STRATA)):
            if queues[stratum] and len(chosen) < count:
                chosen.append((int(peaks[queues[stratum].pop(0)]), stratum))
    return chosen
