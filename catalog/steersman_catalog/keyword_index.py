"""Search by words: BM25 over the terms of labels, as the file holds them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from steersman_catalog.term_scores import largest_score
from steersman_catalog.terms import terms_of

QUERY = """
SELECT term, count(*) AS spread, list(feature) AS features, list(score) AS scores
FROM terms WHERE term IN (SELECT unnest($terms::VARCHAR[])) GROUP BY term
"""


class KeywordIndex:
    """Asks the table `terms`, which is sorted by term: a query reads a few blocks of it."""

    def __init__(self, rows: Callable[..., list[dict[str, Any]]], num_features: int) -> None:
        self._rows = rows
        self._num_features = num_features

    def scores(self, query: str) -> np.ndarray:
        """Relevance of every feature, float32 `[num_features]`, from 0 (no word of `query`) to 1.

        BM25, as a share of the most that the words of the query can give together.

        Raises:
            ValueError: The query has no word.
        """
        terms = sorted(set(terms_of(query)))
        if not terms:
            raise ValueError(f"The query {query!r} has no word to search for.")
        scores = np.zeros(self._num_features, np.float64)
        most = {term: largest_score(0, self._num_features) for term in terms}
        for row in self._rows(QUERY, terms=terms):
            most[row["term"]] = largest_score(row["spread"], self._num_features)
            scores[row["features"]] += row["scores"]
        return (scores / sum(most.values())).astype(np.float32)
