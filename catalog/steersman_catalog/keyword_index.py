"""Search by words: BM25 over the terms of labels, by an inverted index in memory."""

from collections.abc import Callable
from typing import Any, Self

import numpy as np

from steersman_catalog.term_scores import largest_score
from steersman_catalog.terms import terms_of

SPREADS = "SELECT term, count(*) AS spread FROM terms GROUP BY term ORDER BY term"
POSTINGS = "SELECT feature, score FROM terms ORDER BY term, feature"


class KeywordIndex:
    """The table `terms`: of each term, the features that have it and what it adds to their score.

    Postings of one term lie together, `[num_postings]`, 8 bytes each; `ends` is where each term's end.
    """

    def __init__(
        self, terms: list[str], ends: np.ndarray, features: np.ndarray, scores: np.ndarray, num_features: int
    ) -> None:
        self._number = {term: number for number, term in enumerate(terms)}
        self._ends = ends
        self._features = features
        self._scores = scores
        self._num_features = num_features

    @classmethod
    def load(cls, columns: Callable[[str], dict[str, Any]], num_features: int) -> Self:
        """Read it.

        Raises:
            ValueError: A term is of a feature that there is not, or its score is no number.
        """
        spreads, postings = columns(SPREADS), columns(POSTINGS)
        features, scores = np.asarray(postings["feature"]), np.asarray(postings["score"])
        if len(features) and not 0 <= features.min() <= features.max() < num_features:
            raise ValueError(
                f"its terms are of features {features.min()} to {features.max()}, and there are"
                f" {num_features}: `steersman catalog migrate` makes them anew."
            )
        if not np.isfinite(scores).all():
            raise ValueError(
                "a score of its terms is no number: `steersman catalog migrate` makes them anew."
            )
        return cls(spreads["term"].tolist(), np.cumsum(spreads["spread"]), features, scores, num_features)

    def scores(self, query: str) -> np.ndarray:
        """Relevance of every feature, float32 `[num_features]`, from 0 (no word of `query`) to 1.

        BM25, as a share of the most that the words of the query can give together.

        Raises:
            ValueError: The query has no word.
        """
        terms = sorted(set(terms_of(query)))
        if not terms:
            raise ValueError(f"The query {query!r} has no word to search for.")
        scores, most = np.zeros(self._num_features), 0.0
        for term in terms:
            there = self._postings(term)
            most += largest_score(there.stop - there.start, self._num_features)
            scores[self._features[there]] += self._scores[there]
        return (scores / most).astype(np.float32)

    def _postings(self, term: str) -> slice:
        number = self._number.get(term)
        if number is None:
            return slice(0, 0)
        return slice(int(self._ends[number - 1]) if number else 0, int(self._ends[number]))
