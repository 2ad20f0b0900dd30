"""The statistics behind the scores: intervals, areas, discriminability, shrinkage and false discoveries."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln
from scipy.stats import binom, false_discovery_control, norm, rankdata

Z95 = 1.959963984540054
BOOTSTRAPS = 200


class Interval(NamedTuple):
    """A 95 % interval."""

    low: float
    high: float


def wilson(k: float, n: float) -> Interval:
    """Wilson's interval of a share, `k` right of `n`; the whole range if nothing was asked."""
    if n == 0:
        return Interval(0.0, 1.0)
    p, z2 = k / n, Z95**2
    middle = (p + z2 / (2 * n)) / (1 + z2 / n)
    half = Z95 / (1 + z2 / n) * np.sqrt(p * (1 - p) / n + z2 / (4 * n**2))
    return Interval(max(0.0, float(middle - half)), min(1.0, float(middle + half)))


def auc(positive: np.ndarray, negative: np.ndarray) -> float:
    """Chance that a positive scores above a negative, ties half; NaN without one of either."""
    if not len(positive) or not len(negative):
        return float("nan")
    ranks = rankdata(np.concatenate([positive, negative]))
    u = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(u / (len(positive) * len(negative)))


def auc_interval(
    score: np.ndarray, positive: np.ndarray, document: np.ndarray, seed: tuple[int, ...]
) -> Interval:
    """Bootstrap of the area over documents, as texts of one document are alike; all are `[texts]`.

    The whole range where fewer than two documents leave nothing to draw from.
    """
    names, of = np.unique(document, return_inverse=True)
    if len(names) < 2 or positive.all() or not positive.any():
        return Interval(0.0, 1.0)
    random = np.random.default_rng(seed)
    times = random.multinomial(len(names), np.full(len(names), 1 / len(names)), BOOTSTRAPS)[:, of]
    ups, downs = times[:, positive], times[:, ~positive]
    above = (score[positive][:, None] > score[~positive]) + 0.5 * (
        score[positive][:, None] == score[~positive]
    )
    pairs = ups.sum(axis=1) * downs.sum(axis=1)
    there = pairs > 0
    areas = np.einsum("bp,pn,bn->b", ups[there], above, downs[there], optimize=True) / pairs[there]
    return Interval(*np.quantile(areas, (0.025, 0.975)).tolist())


def mean_interval(values: np.ndarray, seed: int = 0) -> Interval:
    """Bootstrap of a mean over features; the value itself twice if there is one only."""
    random = np.random.default_rng(seed)
    means = values[random.integers(0, len(values), (1000, len(values)))].mean(axis=1)
    return Interval(*np.quantile(means, (0.025, 0.975)).tolist())


_D_PRIMES = np.linspace(-2, 6, 801)
_GRID = np.linspace(-8, 14, 2201)


def share_right(d_prime: np.ndarray, choices: int) -> np.ndarray:
    """How often a judge of discriminability `d_prime` picks the right one of `choices`."""
    density = norm.pdf(_GRID - np.asarray(d_prime)[..., None]) * norm.cdf(_GRID) ** (choices - 1)
    return np.trapezoid(density, _GRID, axis=-1)


_SHARES = {choices: share_right(_D_PRIMES, choices) for choices in (2, 4)}


def d_prime(share: float, choices: int) -> float:
    """Discriminability from the share of right answers: comparable over tests of other chance levels.

    Held to −2 … 6, which stands for infinities where all or no answers were right.
    """
    return float(np.interp(share, _SHARES[choices], _D_PRIMES))


def beta_prior(k: np.ndarray, n: np.ndarray) -> tuple[float, float]:
    """The beta distribution of true shares that makes `k` right of `n` likeliest, `[features]`.

    Only features that were asked count; without any it is uniform.
    """
    k, n = k[n > 0], n[n > 0]
    if not len(k):
        return 1.0, 1.0

    def loss(logs: np.ndarray) -> float:
        a, b = np.exp(logs)
        return -float((betaln(k + a, n - k + b) - betaln(a, b)).sum())

    found = minimize(loss, np.log([2.0, 1.0]), method="L-BFGS-B", bounds=[(-3, 7), (-3, 7)])
    a, b = np.exp(found.x)
    return float(a), float(b)


def shrunken(k: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Each feature's share of right answers, drawn towards all features' by how few it was asked."""
    a, b = beta_prior(k, n)
    return (k + a) / (n + a + b)


def p_values(k: np.ndarray, n: np.ndarray, chance: float) -> np.ndarray:
    """How likely a guesser gets `k` or more of `n` right, `[features]`; 1 where nothing was asked."""
    return np.where(n > 0, binom.sf(k - 1, np.maximum(n, 1), chance), 1.0)


def q_values(p: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Smallest false discovery rate at which each feature is said to beat chance (Benjamini & Hochberg 1995).

    `asked` `[features]`: the others do not count, and get 1.
    """
    found = np.ones(len(p))
    if asked.any():
        found[asked] = false_discovery_control(p[asked], method="bh")
    return found


def above_chance(k: np.ndarray, n: np.ndarray, chance: float, rate: float = 0.05) -> np.ndarray:
    """Which features beat chance, at most `rate` of them falsely."""
    return q_values(p_values(k, n, chance), n > 0) <= rate
