"""Which features are near."""

from steersman.types import NeighborFeature
from steersman_catalog.errors import NoEmbeddingsError
from steersman_catalog.rows import Space
from steersman_catalog.search import page_of
from steersman_catalog.snapshot import Snapshot

STORED = """
SELECT neighbour, sum(similarity) / $count AS similarity FROM neighbours
WHERE space = $space AND feature IN (SELECT unnest($features::INTEGER[]))
    AND neighbour NOT IN (SELECT unnest($features::INTEGER[]))
GROUP BY neighbour ORDER BY similarity DESC, neighbour
"""


def neighbours_of(
    snapshot: Snapshot, features: list[int], space: Space, limit: int, *, hidden: bool
) -> list[NeighborFeature]:
    """As `Catalog.neighbors` says."""
    if not features:
        raise ValueError("No feature is given to find the neighbours of.")
    if space == "label" and len(features) > 1:
        near = _near_mean(snapshot, features, limit, hidden=hidden)
    else:
        found = snapshot.rows(STORED, space=space, features=features, count=len(features))
        near = [(row["neighbour"], row["similarity"]) for row in found]
    every = snapshot.overview.features
    shown = [(index, value) for index, value in near if hidden or not every[index].hidden]
    return [
        NeighborFeature(feature=every[index], similarity=round(float(value), 4))
        for index, value in shown[:limit]
    ]


def _near_mean(
    snapshot: Snapshot, features: list[int], limit: int, *, hidden: bool
) -> list[tuple[int, float]]:
    index = snapshot.semantic
    if index is None:
        raise NoEmbeddingsError("This catalogue's labels have no embeddings: ask for the neighbours of one.")
    scores = index.scores(index.direction_of(features))
    scores[features] = 0
    for feature in snapshot.overview.features:
        if feature.hidden and not hidden:
            scores[feature.index] = 0
    best, _ = page_of(scores, limit, None)
    return [(feature, float(scores[feature])) for feature in best]
