"""How well features match a query, and one page of those that do."""

from typing import TYPE_CHECKING, Literal

import numpy as np

from steersman_catalog.embedder import Embedder
from steersman_catalog.errors import NoEmbeddingsError

if TYPE_CHECKING:
    from steersman_catalog.snapshot import Snapshot

SearchMode = Literal["semantic", "keyword", "hybrid"]


def relevance(snapshot: "Snapshot", query: str, mode: SearchMode, embedder: Embedder | None) -> np.ndarray:
    """Of every feature, float32 `[num_features]`, 0 to 1; 0 is no match.

    Raises:
        ValueError: The query is empty, or there is no such mode.
        NoEmbeddingsError: The mode needs embeddings, and there are none.
    """
    if mode == "keyword":
        return snapshot.keywords.scores(query)
    if mode == "semantic":
        return _meaning(snapshot, query, embedder)
    if mode == "hybrid":
        return (_meaning(snapshot, query, embedder) + snapshot.keywords.scores(query)) / 2
    raise ValueError(f"The search mode {mode!r} is none of semantic, keyword and hybrid.")


def page_of(scores: np.ndarray, limit: int, after: int | None) -> tuple[list[int], bool]:
    """The best `limit` features below `after`, ties by index, and whether more follow."""
    rest = scores > 0
    if after is not None:
        index = np.arange(len(scores))
        rest &= (scores < scores[after]) | ((scores == scores[after]) & (index > after))
    found = np.flatnonzero(rest)
    more = len(found) > limit
    if more:  # sort only what can be on the page, ties at its end included
        least = -np.partition(-scores[found], limit - 1)[limit - 1]
        found = found[scores[found] >= least]
    best = found[np.lexsort((found, -scores[found]))][:limit]
    return best.tolist(), more


def _meaning(snapshot: "Snapshot", query: str, embedder: Embedder | None) -> np.ndarray:
    if not query.strip():
        raise ValueError(f"The query {query!r} has no word to search for.")
    index = snapshot.semantic
    if index is None:
        raise NoEmbeddingsError(
            "This catalogue's labels have no embeddings, so it cannot be searched by meaning: search by"
            " `keyword`, or embed the labels with `steersman label`."
        )
    if embedder is None:
        raise NoEmbeddingsError(
            f"Nothing here can embed the query: the labels were embedded by {index.embedder}, which is not"
            " loaded. Search by `keyword`, or install it: `steersman pull all-minilm-l6-v2`."
        )
    if embedder.name != index.embedder:
        raise NoEmbeddingsError(
            f"The labels were embedded by {index.embedder}, and the query would be by {embedder.name}."
        )
    (direction,) = embedder.embed([query])
    scores = index.scores(direction)
    return np.round(np.clip(scores, 0, 1, out=scores), 4, out=scores)
