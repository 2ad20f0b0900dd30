"""How well features tell two sets of conversations apart.

Shapes: `chats` conversations, `features` those that fire in any.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from steersman_engine.engine import TokenFeatures

MIN_TO_HOLD_OUT = 4
"""Conversations of a set that can be halved."""

Pooled = dict[int, float]
"""One conversation's activations, by feature; those left out are 0."""


@dataclass(frozen=True, slots=True)
class Separation:
    """How a feature differs."""

    feature: int
    score: float
    """Difference of means, in units of h_max."""
    positive_mean: float
    negative_mean: float
    auc: float
    held_out_auc: float | None


def pool(tokens: Sequence[TokenFeatures], how: Literal["max", "mean"]) -> Pooled:
    """Each feature's largest or mean activation over `tokens`, silent ones included."""
    pooled: Pooled = {}
    for token in tokens:
        for active in token.features:
            before = pooled.get(active.feature, 0.0)
            value = active.activation
            pooled[active.feature] = max(before, value) if how == "max" else before + value / len(tokens)
    return pooled


def separate(
    positive: Sequence[Pooled], negative: Sequence[Pooled], h_max: np.ndarray, top_k: int
) -> tuple[list[Separation], list[Separation]]:
    """The features that are higher in the first set, and those in the second, clearest first.

    Where both sets are large enough they are chosen on the even conversations, and `held_out_auc` is of
    the odd ones. Features without an h_max have no score and are left out.
    """
    features = np.array(
        sorted({f for pooled in (*positive, *negative) for f in pooled if h_max[f] > 0}), dtype=int
    )
    a, b = _matrix(positive, features), _matrix(negative, features)
    halved = min(len(a), len(b)) >= MIN_TO_HOLD_OUT
    seen_a, seen_b = (a[::2], b[::2]) if halved else (a, b)
    score = (seen_a.mean(0) - seen_b.mean(0)) / h_max[features]
    order = np.argsort(-np.abs(score), kind="stable")

    def describe(column: int) -> Separation:
        return Separation(
            feature=int(features[column]),
            score=float(score[column]),
            positive_mean=float(a[:, column].mean()),
            negative_mean=float(b[:, column].mean()),
            auc=auc(seen_a[:, column], seen_b[:, column]),
            held_out_auc=auc(a[1::2, column], b[1::2, column]) if halved else None,
        )

    up = [int(column) for column in order if score[column] > 0][:top_k]
    down = [int(column) for column in order if score[column] < 0][:top_k]
    return [describe(column) for column in up], [describe(column) for column in down]


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """How often one of `positive` is larger than one of `negative`; ties count half."""
    difference = positive[:, None] - negative[None, :]
    return float((difference > 0).mean() + 0.5 * (difference == 0).mean())


def _matrix(pooled: Sequence[Pooled], features: np.ndarray) -> np.ndarray:
    """`[chats, features]`."""
    return np.array([[chat.get(int(f), 0.0) for f in features] for chat in pooled]).reshape(len(pooled), -1)
