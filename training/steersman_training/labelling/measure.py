"""What a feature does on the documents, counted.

Shapes: `firings` the activations of one feature above zero, in the order of the tokens.
"""

from dataclasses import dataclass

import numpy as np
from msgspec import Struct

from steersman_catalog.rows import QUANTILES
from steersman_engine.prompt import ROLES, Kind
from steersman_training.labelling.activations import Activations
from steersman_training.labelling.corpus import Corpus

NUM_STRATA = 5
"""Fifths of the range from 0 to h_max."""
BINS = 20
"""Of the histogram, of equal width from 0 to h_max."""
POSITION_BINS = 10


class Measured(Struct, frozen=True, kw_only=True):
    """One feature's activations in numbers; all are 0 or empty where it never fired."""

    feature: int
    h_max: float
    density: float
    """Share of tokens on which it fires."""
    mean: float
    """Over the tokens on which it fires."""
    num_firings: int
    num_documents: int
    quantiles: tuple[float, ...]
    """Of the activations above zero, at QUANTILES."""
    histogram: tuple[int, ...]
    """Firings in each of BINS."""
    strata: tuple[int, ...]
    """Firings in each stratum of activation / h_max."""
    roles: dict[str, float]
    """Share of the activation mass in each role's messages."""
    special_share: float
    """Share of the activation mass on special tokens, the template's, punctuation and blanks."""
    position_bits: float
    early_share: float


def strata_of(value: np.ndarray, h_max: float) -> np.ndarray:
    """The fifth of 0 to h_max that holds each activation: 0 lowest to 4 highest."""
    return np.minimum(value.astype(float) * NUM_STRATA / h_max, NUM_STRATA - 1).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Background:
    """What all tokens are like, sinks left out."""

    roles: np.ndarray
    """Share of tokens of each role."""
    position_bin: np.ndarray
    """Tenth of the range of positions that each token is in `[tokens]`; log-spaced."""
    positions: np.ndarray
    """Share of tokens in each."""
    special: np.ndarray
    """Whether a token is no word: special, of the template, or without letter and digit `[tokens]`."""

    @classmethod
    def of(cls, activations: Activations, word_like: np.ndarray) -> "Background":
        """`word_like` `[vocab]`: which tokens of the vocabulary hold a letter or a digit."""
        corpus, counted = activations.corpus, activations.counted
        longest = max(2, int(corpus.position.max()) + 1)
        edges = np.geomspace(1, longest, POSITION_BINS + 1)[1:-1]
        position_bin = np.searchsorted(edges, corpus.position, side="right")
        total = max(1, int(counted.sum()))
        return cls(
            np.bincount(corpus.role[counted], minlength=len(ROLES)) / total,
            position_bin,
            np.bincount(position_bin[counted], minlength=POSITION_BINS) / total,
            (corpus.kind != Kind.CONTENT) | ~word_like[corpus.token],
        )


def measure(
    feature: int,
    where: np.ndarray,
    value: np.ndarray,
    corpus: Corpus,
    background: Background,
    num_tokens: int,
) -> Measured:
    """Count one feature's firings; `where` and `value` `[firings]`."""
    if not len(where):
        return Measured(
            feature=feature, h_max=0.0, density=0.0, mean=0.0, num_firings=0, num_documents=0,
            quantiles=(), histogram=(), strata=(0,) * NUM_STRATA, roles={}, special_share=0.0,
            position_bits=0.0, early_share=0.0,
        )  # fmt: skip
    h_max, mass = float(value.max()), float(value.sum(dtype=float))
    by_role = np.bincount(corpus.role[where], value, minlength=len(ROLES)) / mass
    return Measured(
        feature=feature,
        h_max=h_max,
        density=len(where) / num_tokens,
        mean=mass / len(where),
        num_firings=len(where),
        num_documents=len(np.unique(corpus.document_of[where])),
        quantiles=tuple(np.quantile(value, QUANTILES).tolist()),
        histogram=tuple(np.histogram(value, BINS, (0, h_max))[0].tolist()),
        strata=tuple(np.bincount(strata_of(value, h_max), minlength=NUM_STRATA).tolist()),
        roles={role: float(share) for role, share in zip(ROLES, by_role, strict=True) if share > 0},
        special_share=float(value[background.special[where]].sum(dtype=float) / mass),
        position_bits=position_bits(background.position_bin[where], background.positions, num_tokens),
        early_share=float(value[corpus.position[where] < corpus.position.max() / 10].sum(dtype=float) / mass),
    )


def position_bits(bins: np.ndarray, base: np.ndarray, num_tokens: int) -> float:
    """Mutual information of firing and the bin of a token's position, in bits a token.

    `bins` `[firings]`; `base` `[bins]` is the share of all tokens in each bin.
    """
    fires = np.bincount(bins, minlength=len(base)) / num_tokens
    total = fires.sum()
    bits = 0.0
    for joint, marginal in ((fires, total), (base - fires, 1 - total)):
        there = (joint > 0) & (base > 0)
        bits += float((joint[there] * np.log2(joint[there] / (base[there] * marginal))).sum())
    return max(0.0, bits)
