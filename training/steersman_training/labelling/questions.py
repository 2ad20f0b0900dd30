"""Trials with their right answers, drawn the same way for every judge.

Positives are active tiles of documents that no explainer saw; distractors are tiles of such documents in
which the feature is verified silent, in tiers of rising hardness. The design is balanced: every
neighbour is a distractor equally often, the right answer is in every place equally often, and no tile
comes twice in one feature's test.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from msgspec import Struct

from steersman_training.labelling.activations import Block
from steersman_training.labelling.corpus import SPLITS, Corpus
from steersman_training.labelling.protocols import (
    ContrastiveTrial,
    DetectionTrial,
    FuzzingTrial,
    Passage,
    StringentTrial,
    Trial,
)
from steersman_training.labelling.tiles import Drawn, DrawnTile
from steersman_training.labelling.token_text import TokenText

Test = Literal["contrastive", "stringent", "detection", "fuzzing"]
CHANCE: dict[Test, float] = {"contrastive": 0.5, "stringent": 0.25, "detection": 0.5, "fuzzing": 0.5}
TIERS = ("random", "same_token", "near", "neighbour")
PAIRS = 20
ROUNDS = 10
NEIGHBOURS = 10
"""Nearest labels from which the stringent test takes its distractors."""
OPTIONS = 4
FUZZED = 5
"""Tiles marked right, and as many marked wrong."""


class Question(Struct, frozen=True, kw_only=True):
    """A trial without label and texts, and its answer."""

    id: str
    feature: int
    test: Test
    tiles: tuple[int, ...]
    answer: int
    """Index of the right passage; for detection and fuzzing 1 is yes, 0 no."""
    tier: str = ""
    """How the distractor was chosen."""
    stratum: int = -1
    """Of the positive; -1 without one."""
    marked: tuple[int, ...] = ()
    others: tuple[int, ...] = ()
    """Of which feature each passage is; only in the stringent test."""


@dataclass(frozen=True)
class QuestionMaker:
    """Draws one split's questions; `seed` fixes them."""

    corpus: Corpus
    split: Literal["dev", "test"]
    drawn: Sequence[Drawn]
    """Of all features, by index."""
    vectors: np.ndarray
    """Unit embedding of every tile `[tiles, d]`."""
    neighbours: np.ndarray
    """Nearest features by label, nearest first `[d_sae, many]`."""
    seed: int

    @cached_property
    def candidates(self) -> np.ndarray:
        """The split's tiles."""
        return np.flatnonzero(self.corpus.tile_split == SPLITS.index(self.split))

    @cached_property
    def _candidate_vectors(self) -> np.ndarray:
        return self.vectors[self.candidates].astype(np.float32)

    @cached_property
    def _with_token(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of token and tile of the split, sorted by token."""
        tile = self.corpus.tile_of
        there = (tile >= 0) & (self.corpus.split_of_token == SPLITS.index(self.split))
        pairs = np.unique(np.stack([self.corpus.token[there], tile[there]], axis=1), axis=0)
        return pairs[:, 0], pairs[:, 1]

    def of(self, feature: int, block: Block, tests: Sequence[Test]) -> list[Question]:
        """One feature's questions, `block` holding its firings; none of a test that nothing allows."""
        where, _ = block.of(feature)
        silent = np.zeros(len(self.corpus.tiles), bool)
        silent[self.candidates] = True
        fired = self.corpus.tile_of[where]
        silent[fired[fired >= 0]] = False
        positives = self.drawn[feature].of(self.split)
        random = np.random.default_rng([self.seed, feature, 3 + SPLITS.index(self.split)])
        made: list[Question] = []
        if "contrastive" in tests or "detection" in tests:
            pairs = self._pairs(feature, positives[:PAIRS], silent.copy(), random)
            if "contrastive" in tests:
                made += _contrastive(feature, pairs, random)
            if "detection" in tests:
                made += _detection(feature, pairs)
        if "stringent" in tests:
            made += self._stringent(feature, positives, silent, random)
        if "fuzzing" in tests:
            made += self._fuzzing(feature, positives, random)
        tiles = [tile for question in made for tile in question.tiles]
        assert np.isin(self.corpus.tile_split[tiles], SPLITS.index(self.split)).all(), (
            "A tile of another split."
        )
        return made

    def _pairs(
        self, feature: int, positives: Sequence[DrawnTile], silent: np.ndarray, random: np.random.Generator
    ) -> list[tuple[DrawnTile, int, str]]:
        """Each positive with a distractor of its own and how that was chosen; tiers take turns."""
        pairs = []
        near = positives[TIERS.index("near") :: len(TIERS)]
        likeness = dict(zip(near, self._likeness(near), strict=True))
        for number, positive in enumerate(positives):
            if not silent.any():
                break
            wanted = TIERS[number % len(TIERS)]
            if wanted == "near":
                alike = np.where(silent[self.candidates], likeness[positive], -np.inf)
                distractor = int(self.candidates[alike.argmax()])
            else:
                distractor = self._distractor(wanted, feature, positive, silent, random)
            if distractor is None:
                wanted, distractor = "random", int(random.choice(np.flatnonzero(silent)))
            silent[distractor] = False
            pairs.append((positive, distractor, wanted))
        return pairs

    def _likeness(self, positives: Sequence[DrawnTile]) -> np.ndarray:
        """Cosine of each positive with every tile of the split `[positives, candidates]`."""
        own = self.vectors[[positive.tile for positive in positives]].astype(np.float32)
        return own @ self._candidate_vectors.T

    def _distractor(
        self, tier: str, feature: int, positive: DrawnTile, silent: np.ndarray, random: np.random.Generator
    ) -> int | None:
        if tier == "same_token":
            token = self.corpus.token[self.corpus.tiles[positive.tile, 0] + positive.peak]
            tokens, tiles = self._with_token
            there = tiles[slice(*np.searchsorted(tokens, (token, token + 1)))]
            there = there[silent[there]]
            return int(random.choice(there)) if len(there) else None
        if tier == "neighbour":
            for other in self.neighbours[feature].tolist():
                there = [one.tile for one in self.drawn[other].of(self.split) if silent[one.tile]]
                if there:
                    return int(random.choice(there))
        return None

    def neighbour_of(self, feature: int, tile: int) -> int:
        """The nearest neighbour that fires in a distractor of tier `neighbour`."""
        return next(
            other
            for other in self.neighbours[feature].tolist()
            if any(one.tile == tile for one in self.drawn[other].of(self.split))
        )

    def _stringent(
        self, feature: int, positives: Sequence[DrawnTile], silent: np.ndarray, random: np.random.Generator
    ) -> list[Question]:
        usable = []
        for other in self.neighbours[feature].tolist():
            tiles = [one.tile for one in self.drawn[other].of(self.split) if silent[one.tile]]
            if len(tiles) >= OPTIONS - 1:
                usable.append((other, random.permutation(tiles).tolist()))
            if len(usable) == NEIGHBOURS:
                break
        if len(usable) < OPTIONS - 1:
            return []
        random.shuffle(usable)
        places = random.permutation(np.arange(ROUNDS) % OPTIONS).tolist()
        taken: set[int] = set()
        made = []
        for number, positive in enumerate(positives[:ROUNDS]):
            distractors = []
            for step in _steps(len(usable)):
                other, tiles = usable[(number + step) % len(usable)]
                tile = next((tile for tile in tiles if tile not in taken), None)
                if tile is not None:
                    taken.add(tile)
                    distractors.append((tile, other))
            if len(distractors) < OPTIONS - 1:
                continue
            options = list(distractors)
            options.insert(places[number], (positive.tile, feature))
            made.append(
                Question(
                    id=f"{feature}.s{number}",
                    feature=feature,
                    test="stringent",
                    tiles=tuple(tile for tile, _ in options),
                    answer=places[number],
                    tier="neighbour",
                    stratum=positive.stratum,
                    others=tuple(other for _, other in options),
                )
            )
        return made

    def _fuzzing(
        self, feature: int, positives: Sequence[DrawnTile], random: np.random.Generator
    ) -> list[Question]:
        """Half the tiles with the firing tokens marked, half with as many others of the same tile."""
        made = []
        for number, positive in enumerate(positives[: 2 * FUZZED]):
            right = number % 2 == 0
            length = int(np.diff(self.corpus.tiles[positive.tile])[0])
            others = np.setdiff1d(np.arange(length), positive.active)
            marked = list(positive.active)
            if not right:
                if len(others) < len(marked):
                    continue  # it fires nearly everywhere: as many others there are not
                marked = sorted(random.choice(others, len(marked), replace=False).tolist())
            made.append(
                Question(
                    id=f"{feature}.f{number}",
                    feature=feature,
                    test="fuzzing",
                    tiles=(positive.tile,),
                    answer=int(right),
                    tier="same_text",
                    stratum=positive.stratum,
                    marked=tuple(marked),
                )
            )
        return made


def _steps(neighbours: int) -> tuple[int, ...]:
    """Offsets by which each round takes three distinct neighbours and all come equally often."""
    return (0, 1 + neighbours // 4, 2 + neighbours // 2) if neighbours >= 7 else (0, 1, 2)


def _contrastive(
    feature: int, pairs: Sequence[tuple[DrawnTile, int, str]], random: np.random.Generator
) -> list[Question]:
    places = random.permutation(np.arange(len(pairs)) % 2).tolist()
    return [
        Question(
            id=f"{feature}.c{number}",
            feature=feature,
            test="contrastive",
            tiles=(positive.tile, distractor) if place == 0 else (distractor, positive.tile),
            answer=place,
            tier=tier,
            stratum=positive.stratum,
        )
        for number, ((positive, distractor, tier), place) in enumerate(zip(pairs, places, strict=True))
    ]


def _detection(feature: int, pairs: Sequence[tuple[DrawnTile, int, str]]) -> list[Question]:
    made = []
    for number, (positive, distractor, tier) in enumerate(pairs):
        for answer, tile in ((1, positive.tile), (0, distractor)):
            made.append(
                Question(
                    id=f"{feature}.d{number}{'np'[answer]}",
                    feature=feature,
                    test="detection",
                    tiles=(tile,),
                    answer=answer,
                    tier=tier,
                    stratum=positive.stratum if answer else -1,
                )
            )
    return made


class Passages:
    """Tiles as judges read them, each made once."""

    def __init__(self, corpus: Corpus, text: TokenText) -> None:
        self._corpus, self._text = corpus, text
        self._known: dict[int, Passage] = {}

    def __getitem__(self, tile: int) -> Passage:
        """A tile's text."""
        found = self._known.get(tile)
        if found is None:
            begin, end = self._corpus.tiles[tile].tolist()
            found = Passage(str(tile), self._text.of(self._corpus.token[begin:end]))
            self._known[tile] = found
        return found

    def trial(self, question: Question, label: str, prefix: str = "") -> Trial:
        """What a judge is asked; `prefix` goes before the question's id."""
        number = prefix + question.id
        shown = tuple(self[tile] for tile in question.tiles)
        match question.test, shown:
            case "contrastive", (first, second):
                return ContrastiveTrial(number, question.feature, label, (first, second))
            case "stringent", (first, second, third, fourth):
                return StringentTrial(number, question.feature, label, (first, second, third, fourth))
            case "detection", (only,):
                return DetectionTrial(number, question.feature, label, (only,))
            case "fuzzing", (only,):
                marked = Passage(only.id, only.tokens, question.marked)
                return FuzzingTrial(number, question.feature, label, (marked,))
        raise AssertionError(f"{question.test} has {len(shown)} passages.")
