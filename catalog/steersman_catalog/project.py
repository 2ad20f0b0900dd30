"""A picture of all features in two dimensions."""

from collections.abc import Iterator

import numpy as np

from steersman_catalog.rows import MapRow
from steersman_catalog.vectors import nearest, unit

EPOCHS = 200
NEAR = 10
FAR = 5
"""Others that each feature is pushed away from at a time, drawn at random."""


def map_rows(vectors: np.ndarray, *, seed: int = 0) -> Iterator[MapRow]:
    """Places of the features with directions `vectors` `[n, dim]`: near ones are drawn together.

    Starts at the two main components; then neighbours attract and random others repel with the gradients of
    UMAP's loss at a = b = 1 (McInnes et al. 2018, arXiv:1802.03426). The same seed gives the same picture.
    """
    places = project(vectors, seed=seed)
    for feature, (x, y) in enumerate(places.tolist()):
        yield MapRow(feature=feature, x=round(x, 4), y=round(y, 4))


def project(vectors: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """`[n, 2]`, each coordinate within -1 to 1."""
    n = len(vectors)
    if n < 3:
        return np.linspace([-1.0, 0.0], [1.0, 0.0], n) if n > 1 else np.zeros((n, 2))
    random = np.random.default_rng(seed)
    near, cosine = nearest(vectors, NEAR)
    weight = np.clip(cosine, 0, 1)[:, :, None]
    places = _components(unit(vectors), random) * 10
    for epoch in range(EPOCHS):
        rate = 1 - epoch / EPOCHS
        away = places[:, None] - places[near]
        pull = -2 * away / (1 + np.square(away).sum(axis=2, keepdims=True)) * weight
        others = random.integers(0, n, (n, FAR))
        away = places[:, None] - places[others]
        distance = np.square(away).sum(axis=2, keepdims=True)
        push = 2 * away / ((0.01 + distance) * (1 + distance))
        step = np.clip(pull, -4, 4).sum(axis=1) + np.clip(push, -4, 4).sum(axis=1)
        places = places + rate * 0.2 * step
    low, high = np.quantile(places, [0.001, 0.999], axis=0)
    return np.clip(2 * (places - low) / np.where(high > low, high - low, 1) - 1, -1, 1)


def _components(directions: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The two main components, each with standard deviation 1."""
    centred = directions - directions.mean(axis=0)
    _, basis = np.linalg.eigh(centred.T @ centred)
    places = centred @ basis[:, -1:-3:-1]
    if places.shape[1] < 2:
        places = np.concatenate([places, random.standard_normal((len(places), 1))], axis=1)
    return places / np.maximum(places.std(axis=0), 1e-9)
