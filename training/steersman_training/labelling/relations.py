"""Which features belong together: neighbours in three spaces, echo groups and a map.

Shapes: `features` all of an SAE; `tokens` those of the corpus.
"""

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from steersman_training.labelling.activations import Activations
from steersman_training.labelling.labels import nearest

NEIGHBOURS = 10
COUNTED_TOKENS = 300_000
"""Tokens on which firing together is counted, at most: a run of them from the start."""
ECHO_JACCARD, ECHO_COSINE = 0.3, 0.5
"""Features that fire together at least so often and point alike at least so much echo one another."""


def coactivation(activations: Activations, block: int = 512) -> tuple[np.ndarray, np.ndarray]:
    """Of each feature the NEIGHBOURS it fires together with most, and their Jaccard: `[features, 10]`.

    Jaccard is tokens with both over tokens with either. Memory is that of `block` features times all.
    """
    d_sae, tokens = activations.d_sae, min(COUNTED_TOKENS, len(activations.counted))
    rows, columns = [], []
    for part in activations.blocks(block):
        for feature in part.features:
            where, _ = part.of(feature)
            where = where[: np.searchsorted(where, tokens)]
            rows.append(where.astype(np.int32))
            columns.append(np.full(len(where), feature, np.int32))
    row, column = np.concatenate(rows), np.concatenate(columns)
    fires = csr_matrix((np.ones(len(row), np.float32), (column, row)), shape=(d_sae, tokens))
    count = np.asarray(fires.sum(axis=1)).ravel()
    by_token = fires.T.tocsr()
    many = min(NEIGHBOURS, d_sae - 1)
    found = np.zeros((d_sae, many), np.int32)
    jaccard = np.zeros((d_sae, many), np.float32)
    for first in range(0, d_sae, block):
        both = (fires[first : first + block] @ by_token).toarray()
        either = count[first : first + block, None] + count - both
        share = np.divide(both, either, out=np.zeros_like(both), where=either > 0)
        share[np.arange(len(share)), first + np.arange(len(share))] = -1
        best = np.argsort(-share, axis=1, kind="stable")[:, :many]
        found[first : first + block] = best
        jaccard[first : first + block] = np.take_along_axis(share, best, axis=1)
    return found, np.maximum(jaccard, 0)


def by_cosine(vectors: np.ndarray, live: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each row the NEIGHBOURS with the largest cosine, and it: `[features, 10]`."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    found = nearest(unit, live, NEIGHBOURS)
    return found, np.einsum("fd,fnd->fn", unit, unit[found])


def echo_groups(together: np.ndarray, jaccard: np.ndarray, W_dec: np.ndarray) -> list[list[int]]:
    """Groups of features that fire together and point alike, largest first."""
    here = np.repeat(np.arange(len(together)), together.shape[1])
    there = together.ravel()
    alike = np.einsum("nd,nd->n", W_dec[here], W_dec[there])
    linked = (jaccard.ravel() >= ECHO_JACCARD) & (alike >= ECHO_COSINE)
    graph = csr_matrix((np.ones(linked.sum()), (here[linked], there[linked])), shape=(len(together),) * 2)
    _, group = connected_components(graph, directed=False)
    order = np.argsort(group, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(group[order])) + 1)
    groups = [sorted(part.tolist()) for part in parts if len(part) > 1]
    return sorted(groups, key=lambda one: (-len(one), one[0]))


def flat_map(vectors: np.ndarray, seed: int) -> np.ndarray:
    """A place in the plane for each row, near rows near: `[features, 2]` in −1 … 1, by t-SNE on cosines."""
    from sklearn.decomposition import PCA  # slow to import
    from sklearn.manifold import TSNE

    rows = len(vectors)
    if rows < 4:
        return np.zeros((rows, 2), np.float32)
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    reduced = PCA(min(50, rows - 1, unit.shape[1]), random_state=seed).fit_transform(unit)
    place = TSNE(
        perplexity=min(30.0, (rows - 1) / 3), init="pca", random_state=seed, learning_rate="auto"
    ).fit_transform(reduced)
    return (place / max(1e-12, np.abs(place).max())).astype(np.float32)
