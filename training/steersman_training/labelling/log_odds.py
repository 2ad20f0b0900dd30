"""Words that stand out: log-odds with an informative Dirichlet prior.

Monroe, Colaresi & Quinn 2008, "Fightin' Words", Political Analysis 16(4), equations 16, 18, 20 and 22.
"""

import numpy as np

PRIOR_WORDS = 500.0
"""The prior weighs as much as so many words, spread as in the background."""


def z_scores(
    count: np.ndarray,
    background: np.ndarray,
    *,
    total: float | None = None,
    prior_words: float = PRIOR_WORDS,
) -> np.ndarray:
    """How surely each word is more frequent among `count` than in `background`, both `[num_words]`.

    Counts may be weighted, so need not be whole. Every word is in the background. `total` is the
    background's, if words without a count were left out. 0 is as frequent in both; 1.96 is the usual
    border of significance.
    """
    total = float(background.sum()) if total is None else total
    prior = prior_words * background / total
    ours, theirs = count + prior, background + prior
    delta = _log_odds(ours, count.sum() + prior_words) - _log_odds(theirs, total + prior_words)
    return delta / np.sqrt(1 / ours + 1 / theirs)


def _log_odds(weight: np.ndarray, total: float) -> np.ndarray:
    return np.log(weight) - np.log(total - weight)
