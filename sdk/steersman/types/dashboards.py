"""All that is known of one feature, for a page about it."""

from typing import Literal

from msgspec import Struct

from steersman.notebook import dashboard_html
from steersman.types.features import Example, Feature


class TokenLogit(Struct, frozen=True):
    """A token that a feature makes more or less likely."""

    token: str
    logit: float
    """Change a unit of activation, less the mean over the vocabulary."""


class LabelScore(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a test of a label, or of the feature itself, came to."""

    test: str
    judge: str
    """Who answered; empty where nobody judges."""
    split: str
    value: float
    n: int
    """Answers."""
    failures: int
    """Questions without an answer: not in `n`, neither right nor wrong."""
    chance: float | None = None
    """Value of one who guesses."""
    lo: float | None = None
    hi: float | None = None
    """95 % interval."""
    tier: str | None = None
    """Only trials with such distractors; None: all."""
    stratum: int | None = None
    """Only trials with an example of this fifth of the activation range; None: all."""
    baseline: str | None = None
    """A null: the same test with a label that is not the feature's."""


class FeatureLabel(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of a feature's labels, and where it came from."""

    id: int
    text: str
    kind: str
    """What it is about: token, context, topic, syntax, position, output, mixed, unclear or none."""
    explainer: str
    shown: bool
    created: str
    """UTC, ISO 8601."""
    model: str | None = None
    version: str | None = None
    """Of the prompt or the rules."""
    confidence: str | None = None
    """By its own account."""
    parent: int | None = None
    """The label it refines."""
    scores: list[LabelScore] = []


class NeighborFeature(Struct, frozen=True, kw_only=True):
    """A near feature."""

    feature: Feature
    similarity: float
    """Cosine of decoder rows or label embeddings, or Jaccard of firings."""


class ModerationNote(Struct, frozen=True, kw_only=True):
    """Why a feature or its label is marked, hidden or refused."""

    subject: Literal["feature", "label"]
    category: str
    action: Literal["mark", "hide", "refuse"]
    evidence: str
    source: str


class FeatureDashboard(Struct, frozen=True, kw_only=True):
    """One feature, its statistics, examples, effects, labels and relations."""

    feature: Feature
    """Without examples."""
    mean_activation: float
    """Over the tokens on which it fires."""
    num_documents: int
    """In which it fires."""
    decoder_norm: float | None
    """Of its decoder row before it was scaled to 1; activations are so many times the source's."""
    quantile_levels: list[float]
    quantiles: list[float] | None
    """Of the activations above 0, at those levels."""
    histogram: list[int] | None
    """Tokens in equal bins of 0 to h_max, lowest first."""
    examples: list[Example]
    """Where it fires: from all five fifths of its range, highest first."""
    promoted: list[TokenLogit]
    suppressed: list[TokenLogit]
    labels: list[FeatureLabel]
    """The shown one first."""
    scores: list[LabelScore]
    """Of the feature itself, and of baselines."""
    echoes: list[int]
    """Other features that say the same."""
    moderation: list[ModerationNote]

    def __repr__(self) -> str:
        return f"FeatureDashboard({self.feature.index}: {self.feature.label!r})"

    def _repr_html_(self) -> str:
        return dashboard_html(self)
