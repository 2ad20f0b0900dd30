"""All that a file holds about one feature."""

from collections.abc import Callable
from typing import Any

import msgspec

from steersman.types import (
    Example,
    Feature,
    FeatureDashboard,
    FeatureLabel,
    LabelScore,
    ModerationNote,
    TokenLogit,
)
from steersman_catalog.rows import QUANTILES

Rows = Callable[..., list[dict[str, Any]]]

EXAMPLES = """
SELECT document, role, tokens[examples.start + 1:examples.start + length] AS tokens, peak, stratum, places,
    activations
FROM examples JOIN passages USING (passage)
WHERE feature = $feature AND tier IS NULL AND ($hidden OR example NOT IN (
    SELECT id FROM memory.main.marks WHERE subject = 'example' AND action <> 'mark'))
ORDER BY coalesce(activations[list_position(places, peak)], 0) DESC, example
"""
LABELS = """
SELECT label AS id, text, kind, explainer, shown, strftime(created, '%Y-%m-%dT%H:%M:%SZ') AS created, model,
    version, confidence, parent
FROM labels WHERE feature = $feature AND ($hidden OR label NOT IN (
    SELECT id FROM memory.main.marks WHERE subject = 'label' AND action <> 'mark'))
ORDER BY shown DESC, label DESC
"""
SCORES = """
SELECT label, test, judge, split, value, n, failures, chance, lo, hi, tier, stratum, baseline
FROM scores WHERE feature = $feature
ORDER BY test, judge, baseline NULLS FIRST, split DESC, tier NULLS FIRST, stratum NULLS FIRST
"""
LOGITS = """
SELECT side, text AS token, value AS logit FROM logits JOIN vocabulary USING (token)
WHERE feature = $feature ORDER BY side, rank
"""
ECHOES = """
SELECT feature FROM echoes WHERE feature <> $feature
    AND echo = (SELECT echo FROM echoes WHERE feature = $feature) ORDER BY feature
"""
MODERATION = """
SELECT subject, category, action, evidence, source FROM memory.main.marks
WHERE feature = $feature AND subject <> 'example' ORDER BY subject, category
"""
VOCABULARY = "SELECT token, text FROM vocabulary WHERE token IN (SELECT unnest($ids::INTEGER[]))"
FACTS = """
SELECT mean_activation, num_documents, decoder_norm, quantiles, histogram
FROM features WHERE feature = $feature
"""


def examples_of(rows: Rows, feature: int, *, hidden: bool = False) -> list[Example]:
    """Where a feature fires, highest first; `hidden`: also the examples that moderation hides."""
    found = rows(EXAMPLES, feature=feature, hidden=hidden)
    texts = _texts(rows, {token for row in found for token in row["tokens"]})
    examples = []
    for row in found:
        activations = [0.0] * len(row["tokens"])
        for place, activation in zip(row.pop("places"), row["activations"], strict=True):
            activations[place] = activation
        tokens = [texts[token] for token in row["tokens"]]
        examples.append(Example(**row | {"tokens": tokens, "activations": activations}))
    return examples


def echoes_of(rows: Rows, feature: int) -> list[int]:
    """The other features of its group."""
    return [row["feature"] for row in rows(ECHOES, feature=feature)]


def dashboard_of(rows: Rows, feature: Feature, *, hidden: bool = False) -> FeatureDashboard:
    """Everything about a feature; `hidden`: also the examples that moderation hides."""
    index = feature.index
    (facts,) = rows(FACTS, feature=index)
    scores: dict[int | None, list[LabelScore]] = {}
    for row in rows(SCORES, feature=index):
        scores.setdefault(row.pop("label"), []).append(LabelScore(**row))
    sides: dict[str, list[TokenLogit]] = {"promoted": [], "suppressed": []}
    for row in rows(LOGITS, feature=index):
        sides[row.pop("side")].append(TokenLogit(**row))
    labels = rows(LABELS, feature=index, hidden=hidden)
    notes = rows(MODERATION, feature=index)
    made = FeatureDashboard(
        feature=feature,
        **facts,
        quantile_levels=list(QUANTILES),
        examples=examples_of(rows, index, hidden=hidden),
        promoted=sides["promoted"],
        suppressed=sides["suppressed"],
        labels=[FeatureLabel(**row, scores=scores.get(row["id"], [])) for row in labels],
        scores=scores.get(None, []),
        echoes=echoes_of(rows, index),
        moderation=[ModerationNote(**row) for row in notes],
    )
    return made if hidden or not feature.hidden else redacted(made)


def redacted(dashboard: FeatureDashboard) -> FeatureDashboard:
    """A hidden feature's, as those see it who may not see what it is about: its numbers and its marks."""
    notes = [msgspec.structs.replace(note, evidence="") for note in dashboard.moderation]
    return msgspec.structs.replace(
        dashboard, examples=[], promoted=[], suppressed=[], labels=[], scores=[], moderation=notes
    )


def _texts(rows: Rows, tokens: set[int]) -> dict[int, str]:
    found = rows(
        "SELECT token, text FROM vocabulary WHERE token IN (SELECT unnest($ids))", ids=sorted(tokens)
    )
    return {row["token"]: row["text"] for row in found}
