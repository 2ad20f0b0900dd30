"""What each word adds to a feature's relevance: BM25, as far as it can be known before the question."""

from collections.abc import Iterator
from typing import ClassVar

import duckdb
import numpy as np

from steersman_catalog.rows import Row
from steersman_catalog.terms import terms_of

LABEL_WEIGHT = 3.0
"""What a word of the shown label weighs; other words, and those of other labels, weigh 1 at most."""
K1, B = 1.2, 0.25
"""How soon a heavier term stops counting for more; how much a feature with many terms loses."""


class TermScore(Row, frozen=True, kw_only=True):
    """A term of a feature; only `publish` writes them."""

    table: ClassVar[str] = "terms"
    order: ClassVar[tuple[str, ...]] = ("term", "feature")
    term: str
    feature: int
    score: float


def term_scores(db: duckdb.DuckDBPyConnection) -> Iterator[TermScore]:
    """Every term of every label and word, in the order of the term."""
    weights = _weights(db)
    num_features = db.execute("SELECT count(*) FROM features").fetchall()[0][0]
    lengths = np.zeros(num_features)
    spread: dict[str, int] = {}
    for (term, feature), weight in weights.items():
        lengths[feature] += weight
        spread[term] = spread.get(term, 0) + 1
    average = lengths[lengths > 0].mean() if weights else 1.0
    damping = K1 * (1 - B + B * lengths / average)
    for (term, feature), weight in sorted(weights.items()):
        score = largest_score(spread[term], num_features) * weight / (weight + damping[feature])
        yield TermScore(term=term, feature=feature, score=round(float(score), 3))


def largest_score(spread: int, num_features: int) -> float:
    """What a term that `spread` features have adds at most: its rarity times k1 + 1."""
    return float(np.log1p((num_features - spread + 0.5) / (spread + 0.5))) * (K1 + 1)


def _weights(db: duckdb.DuckDBPyConnection) -> dict[tuple[str, int], float]:
    of_labels: dict[tuple[str, int], float] = {}
    for feature, text, shown in db.execute(
        "SELECT feature, text, shown FROM labels ORDER BY shown"
    ).fetchall():
        of_labels |= {(term, feature): LABEL_WEIGHT if shown else 1.0 for term in terms_of(text)}
    of_words: dict[tuple[str, int], float] = {}
    for feature, text, weight in db.execute("SELECT feature, text, weight FROM words").fetchall():
        for term in terms_of(text):
            of_words[term, feature] = max(weight, of_words.get((term, feature), 0.0))
    for key, weight in of_words.items():
        of_labels[key] = of_labels.get(key, 0.0) + weight
    return of_labels
