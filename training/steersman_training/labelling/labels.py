"""Labels as the job keeps them: where each came from, and what it replaced."""

import numpy as np
from msgspec import Struct

from steersman_training.labelling.judges import Embed, Lookup
from steersman_training.labelling.protocols import Explainer, Failure, LabelDraft

NEAREST = 40
"""Neighbours kept while questions are drawn; tests need ten of which enough examples are left."""
NEVER_FIRED = "never fired"


class Label(Struct, frozen=True, kw_only=True):
    """One label of one feature."""

    id: str
    """`feature.revision`."""
    feature: int
    draft: LabelDraft
    explainer: str
    version: str
    parent: str | None = None
    """The label it was made to improve."""
    dev_score: float | None = None
    """On dev documents, by the first judge."""
    accepted: bool = True
    failure: Failure | None = None
    """Why the explainer gave none; the text is then a statistical one."""


def never_fired(feature: int) -> Label:
    """What is said of a feature that no labelling document made fire."""
    draft = LabelDraft(text=NEVER_FIRED, kind="unclear", confidence="low")
    return Label(id=f"{feature}.0", feature=feature, draft=draft, explainer="rule", version="1")


def label_vectors(texts: list[str], embed: Embed) -> np.ndarray:
    """Unit vectors `[labels, d]`, equal labels embedded once."""
    found = Lookup(embed, texts)
    return np.stack([found[text] for text in texts])


def nearest(vectors: np.ndarray, live: np.ndarray, count: int = NEAREST, block: int = 2048) -> np.ndarray:
    """Of each row the `count` other rows with the largest cosine, nearest first: `[rows, count]`.

    `vectors` are of unit length. Rows that are not `live` `[rows]` are nobody's neighbours.
    """
    count = min(count, int(live.sum()) - 1)
    found = np.zeros((len(vectors), max(count, 0)), np.int32)
    if count < 1:
        return found
    for first in range(0, len(vectors), block):
        cosine = vectors[first : first + block] @ vectors.T
        cosine[:, ~live] = -np.inf
        own = np.arange(len(cosine))
        cosine[own, first + own] = -np.inf
        best = np.argpartition(-cosine, count - 1, axis=1)[:, :count]
        order = np.argsort(-np.take_along_axis(cosine, best, axis=1), axis=1, kind="stable")
        found[first : first + block] = np.take_along_axis(best, order, axis=1)
    return found


def failed(feature: int, failure: Failure | None, draft: LabelDraft, explainer: Explainer) -> Label:
    """What is kept where an explainer gave no label, or was not asked: a statistical one, marked so."""
    return Label(
        id=f"{feature}.0",
        feature=feature,
        draft=draft,
        explainer=explainer.name,
        version=explainer.version,
        failure=failure,
    )
