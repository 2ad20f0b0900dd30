"""Directions: how they are stored, and which are near."""

from collections.abc import Iterable, Iterator

import numpy as np

from steersman_catalog.rows import EchoRow, EmbeddingRow, NeighbourRow, Space

BLOCK = 1024
"""Rows compared with all others at a time."""


def quantize(vectors: np.ndarray) -> np.ndarray:
    """Directions `[n, dim]` as int8: each scaled so that its largest part is ±127, and rounded."""
    largest = np.abs(vectors).max(axis=1, keepdims=True)
    return np.rint(vectors / np.where(largest > 0, largest, 1) * 127).astype(np.int8)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows of length 1, float32; a row of zeros stays one."""
    vectors = np.asarray(vectors, np.float32)
    norm = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norm > 0, norm, 1)


def embedding_rows(labels: Iterable[int], vectors: np.ndarray) -> Iterator[EmbeddingRow]:
    """What a catalogue stores of the labels' embeddings `[n, dim]`."""
    for label, vector in zip(labels, quantize(vectors), strict=True):
        yield EmbeddingRow(label=label, embedding=vector.tolist())


def nearest(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` others nearest to each row of `[n, dim]`: indices and cosines, `[n, k]`, nearest first.

    A row of zeros has cosine 0 with all.
    """
    directions = unit(vectors)
    k = min(k, len(directions) - 1)
    indices = np.zeros((len(directions), k), np.int64)
    cosines = np.zeros((len(directions), k), np.float32)
    for start in range(0, len(directions), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(directions)))
        similar = directions[rows] @ directions.T
        similar[np.arange(len(rows)), rows] = -np.inf
        top = np.argpartition(-similar, min(k, similar.shape[1] - 1), axis=1)[:, :k]
        values = np.take_along_axis(similar, top, axis=1)
        order = np.lexsort((top, -values), axis=1)
        indices[rows] = np.take_along_axis(top, order, axis=1)
        cosines[rows] = np.take_along_axis(values, order, axis=1)
    return indices, cosines


def neighbour_rows(
    vectors: np.ndarray, space: Space, k: int, features: np.ndarray | None = None
) -> Iterator[NeighbourRow]:
    """The nearest of every feature; row `i` of `vectors` is of `features[i]`, by default of feature `i`."""
    names = np.arange(len(vectors)) if features is None else np.asarray(features)
    indices, cosines = nearest(vectors, k)
    for row, feature in enumerate(names.tolist()):
        for rank, (index, cosine) in enumerate(
            zip(indices[row].tolist(), cosines[row].tolist(), strict=True)
        ):
            yield NeighbourRow(
                feature=feature,
                space=space,
                rank=rank,
                neighbour=int(names[index]),
                similarity=round(cosine, 3),
            )


def echo_rows(pairs: Iterable[tuple[int, int]], mass: np.ndarray) -> Iterator[EchoRow]:
    """Groups of features that `pairs` tie together, each named by its member of most `mass` `[n]`."""
    group: dict[int, set[int]] = {}
    for one, other in pairs:
        joined = group.get(one, {one}) | group.get(other, {other})
        for member in joined:
            group[member] = joined
    for feature in sorted(group):
        head = max(sorted(group[feature]), key=lambda member: mass[member])
        yield EchoRow(feature=feature, echo=head)
