"""Judges that need no language model: one compares embeddings, one compares words.

Both score every passage for itself, so the pairs and fours of the other tests, and the area under the
curve of detection, are one scale. Where a judge sees no difference it guesses, as it must.
"""

import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from steersman_catalog.terms import terms_of
from steersman_training.labelling.protocols import Estimate, Failure, Passage, Trial, Verdict

Embed = Callable[[Sequence[str]], np.ndarray]
"""Unit vectors of texts: `[texts, d]`, float32."""
YES_ABOVE = 1.0
"""Standard deviations above the mean of all texts from which a judge says yes."""


class EmbeddingJudge:
    """The passage whose embedding is nearest to the label's.

    `vectors` holds the embeddings of all passages without marks, at the number that is their id.
    """

    name = "embedding"
    version = "1"
    batch_size = 50_000

    def __init__(self, embed: Embed, vectors: np.ndarray, background: np.ndarray) -> None:
        """`background`: some of the vectors, to which a lone text is compared."""
        self._embed, self._vectors = embed, vectors
        self._mean = background.mean(axis=0)
        centred = background - self._mean
        self._covariance = centred.T @ centred / max(1, len(background))

    def judge(self, trials: Sequence[Trial]) -> Iterator[tuple[str, Verdict | Failure]]:
        """The nearest; a lone passage must be nearer than most texts are."""
        labels = Lookup(self._embed, (trial.label for trial in trials))
        marked = Lookup(
            self._embed, (_marked_text(p) for trial in trials for p in trial.passages if p.marked)
        )
        yes: dict[str, float] = {}
        for trial in trials:
            label = labels[trial.label]
            if trial.label not in yes:
                spread = float(np.sqrt(max(1e-12, label @ self._covariance @ label)))
                yes[trial.label] = float(label @ self._mean) + YES_ABOVE * spread
            rows = [
                marked[_marked_text(passage)] if passage.marked else self._vectors[int(passage.id)]
                for passage in trial.passages
            ]
            scores = np.stack(rows).astype(np.float32) @ label
            yield trial.id, _verdict(trial.id, tuple(scores.tolist()), yes[trial.label])

    def estimate(self, sample: Sequence[Trial], total: int) -> Estimate:
        """No request."""
        return Estimate(seconds=total * 3e-5)


class LexicalJudge:
    """The passage that shares the label's rarest words."""

    name = "lexical"
    version = "1"
    batch_size = 50_000

    def __init__(self, background: Iterable[Passage]) -> None:
        """`background`: texts in which to count how rare words are."""
        self._known: dict[str, frozenset[str]] = {}
        texts = [self._terms(passage) for passage in background]
        counts: dict[str, int] = {}
        for terms in texts:
            for term in terms:
                counts[term] = counts.get(term, 0) + 1
        self._rarity = {term: math.log(1 + len(texts) / count) for term, count in counts.items()}
        self._rarest = math.log(1 + len(texts))

    def judge(self, trials: Sequence[Trial]) -> Iterator[tuple[str, Verdict | Failure]]:
        """The passage with most of the label's words; a lone one must have any."""
        for trial in trials:
            label = set(terms_of(trial.label))
            scores = tuple(
                sum(self._rarity.get(term, self._rarest) for term in label & self._terms(passage))
                for passage in trial.passages
            )
            yield trial.id, _verdict(trial.id, scores, 0.0)

    def estimate(self, sample: Sequence[Trial], total: int) -> Estimate:
        """No request."""
        return Estimate(seconds=total * 2e-5)

    def _terms(self, passage: Passage) -> frozenset[str]:
        if passage.marked:
            return frozenset(terms_of(_marked_text(passage)))
        found = self._known.get(passage.id)
        if found is None:
            found = self._known[passage.id] = frozenset(terms_of(passage.text))
        return found


class Lookup:
    """Embeddings of some texts, each distinct one computed once."""

    def __init__(self, embed: Embed, texts: Iterable[str]) -> None:
        distinct = list(dict.fromkeys(texts))
        self._row = {text: row for row, text in enumerate(distinct)}
        self._vectors = embed(distinct) if distinct else np.zeros((0, 1), np.float32)

    def __getitem__(self, text: str) -> np.ndarray:
        """`[d]`."""
        return self._vectors[self._row[text]]


def _marked_text(passage: Passage) -> str:
    """The marked tokens, completed to the words they are part of."""
    pieces, marked = [], set(passage.marked)
    word, hit = "", False
    for position, token in enumerate(passage.tokens):
        if token[:1].isspace() or not token[:1].isalnum():
            if hit:
                pieces.append(word.strip() or word)
            word, hit = "", False
        word += token
        hit |= position in marked
    if hit:
        pieces.append(word.strip() or word)
    return " ".join(pieces)


def _verdict(trial: str, scores: tuple[float, ...], yes_above: float) -> Verdict:
    if len(scores) == 1:
        return Verdict(int(scores[0] > yes_above), scores)
    best = [index for index, score in enumerate(scores) if score == max(scores)]
    return Verdict(best[_coin(trial) % len(best)], scores)


def _coin(text: str) -> int:
    """A number that is the same each time, and has nothing to do with the answer."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
