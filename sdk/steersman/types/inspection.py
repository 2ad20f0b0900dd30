"""Requests about the features of conversations, and their answers."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from steersman.notebook import attribution_html, contrast_html, inspection_html, next_tokens_html
from steersman.summaries import summary
from steersman.types.attribution import Aggregate, ChoiceAttribution, Method, Sign, Target
from steersman.types.conditions import FeatureIndex
from steersman.types.messages import Conversation
from steersman.types.steering import Edits

TopK = Annotated[int, Meta(ge=1, le=1000)]
Pooling = Literal["max", "mean", "sum", "count"]


class InspectRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`POST /v1/features/inspect`: what fires on a conversation."""

    messages: Conversation
    model: str | None = None
    feature_edits: Edits = ()
    """Read the features under these edits."""
    features: Annotated[tuple[FeatureIndex, ...], Meta(min_length=1, max_length=1024)] | None = None
    """Only these; left out: all."""
    top_k: TopK = 20
    """Features listed under `features`."""
    top_k_per_token: Annotated[int, Meta(ge=0, le=1000)] = 10
    """Features listed with each token; 0 leaves the tokens out."""
    sort_by: Pooling = "max"
    """What `features` is ordered by, over the tokens that are listed."""
    skip_template: bool = False
    """Leave out attention sinks and the tokens that the chat template puts around messages."""
    add_generation_prompt: bool = False
    """Read on to where the assistant's answer would begin."""


class InspectedActivation(Struct, frozen=True):
    """A feature at a token."""

    feature: int
    activation: float


class InspectedToken(Struct, frozen=True, kw_only=True):
    """A token and the features that fire on it, most active first."""

    position: int
    token: str
    role: str
    kind: Literal["bos", "template", "content", "end"]
    is_sink: bool
    features: list[InspectedActivation]


class InspectedFeature(Struct, frozen=True, kw_only=True):
    """A feature over all tokens that were looked at, those where it is silent included."""

    feature: int
    label: str
    h_max: float
    max: float
    mean: float
    sum: float
    count: int
    """Tokens on which it fires."""
    position: int
    """Of its maximum."""


class Inspection(Struct, frozen=True, kw_only=True):
    """What fires on a conversation; activations are in residual units."""

    object: Literal["inspection"]
    model: str
    num_tokens: int
    """Those looked at."""
    features: list[InspectedFeature]
    tokens: list[InspectedToken]

    def top(self, k: int = 10, *, by: Pooling = "max") -> list[InspectedFeature]:
        """The `k` features of `features` that fire most, in the sense of `by`."""
        return sorted(self.features, key=lambda each: getattr(each, by), reverse=True)[:k]

    def column(self, feature: int) -> list[float]:
        """One feature's activation at each of `tokens`; 0 where it is not listed."""
        return [
            next((each.activation for each in token.features if each.feature == feature), 0.0)
            for token in self.tokens
        ]

    def columns(self) -> dict[int, list[tuple[int, float]]]:
        """The matrix of activations by column, sparsely: feature to pairs of position and activation."""
        found: dict[int, list[tuple[int, float]]] = {}
        for token in self.tokens:
            for each in token.features:
                found.setdefault(each.feature, []).append((token.position, each.activation))
        return found

    def __repr__(self) -> str:
        items = [f"{each.feature} {each.label!r} max {each.max:.3g}" for each in self.features]
        return summary("Inspection", f"{self.num_tokens} tokens", items)

    def _repr_html_(self) -> str:
        return inspection_html(self)


class AttributeRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`POST /v1/features/attribute`: why a given answer, or the next token of a conversation.

    If the last message is the assistant's, its tokens are explained; else the first token of the answer
    to come, which `target.given` must then name.
    """

    messages: Conversation
    model: str | None = None
    feature_edits: Edits = ()
    tokens: Literal["all"] | tuple[int, ...] = "all"
    """Which tokens of the answer to explain, by index; -1 is its last."""
    top_k: Annotated[int, Meta(ge=1, le=100)] = 10
    target: Target = "logit_minus_mean"
    method: Method = "gradient"
    aggregate: Aggregate = "sum"
    sign: Sign = "both"
    positions: Literal["all", "prompt", "generation"] = "all"


class AttributionResult(Struct, frozen=True, kw_only=True):
    """Why."""

    object: Literal["attribution"]
    model: str
    attribution: ChoiceAttribution

    def _repr_html_(self) -> str:
        return attribution_html(self.attribution)


class ContrastRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`POST /v1/features/contrast`: which features tell two sets of conversations apart."""

    positive: Annotated[tuple[Conversation, ...], Meta(min_length=1, max_length=64)]
    negative: Annotated[tuple[Conversation, ...], Meta(min_length=1, max_length=64)]
    model: str | None = None
    positive_edits: Edits = ()
    negative_edits: Edits = ()
    roles: tuple[Literal["system", "user", "assistant"], ...] | None = None
    """Look only at what these say."""
    pooling: Literal["max", "mean"] = "mean"
    """How a feature's activations on a conversation's tokens become one number."""
    top_k: TopK = 20
    """Features for each side."""


class ContrastedFeature(Struct, frozen=True, kw_only=True):
    """How a feature differs between two sets of conversations."""

    feature: int
    label: str
    h_max: float
    score: float
    """Difference of the sets' means, in units of h_max; what the features are ordered by."""
    positive_mean: float
    negative_mean: float
    auc: float
    """How often a positive conversation has more of it than a negative one; ties count half."""
    held_out_auc: float | None
    """The same on conversations that took no part in choosing the feature; null where either set has
    fewer than four."""


class Contrast(Struct, frozen=True, kw_only=True):
    """Features that tell two sets apart.

    Where both sets have four conversations or more, features are chosen on every other one, and
    `held_out_auc` is of the rest.
    """

    object: Literal["contrast"]
    model: str
    positive: list[ContrastedFeature]
    """More in the first set."""
    negative: list[ContrastedFeature]
    """More in the second."""

    def __repr__(self) -> str:
        items = [f"{each.feature} {each.label!r} {each.score:+.2f}" for each in self.positive]
        return summary("Contrast", f"{len(self.positive)} more in the first set", items)

    def _repr_html_(self) -> str:
        return contrast_html(self)


class LogitsRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`POST /v1/logits`: what would come next, under edits."""

    messages: Conversation
    model: str | None = None
    feature_edits: Edits = ()
    top_k: TopK = 20
    """Tokens listed, likeliest first."""
    tokens: Annotated[tuple[str, ...], Meta(min_length=1, max_length=1024)] | None = None
    """Only these texts, each exactly one token."""
    sort_by: Literal["logprob", "difference"] = "logprob"
    """`difference`: those that the edits changed most come first."""


class NextToken(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A token that may come next."""

    token: str
    token_id: int
    logit: float
    logprob: float
    plain_logprob: float | None = None
    """Without edits; set when there are any."""
    difference: float | None = None
    """`logprob - plain_logprob`."""


class NextTokens(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The distribution of the next token."""

    object: Literal["logits"]
    model: str
    data: list[NextToken]
    entropy: float
    """Of the distribution, in nats."""
    kl_from_plain: float | None = None
    """How far the edits moved it: KL divergence of the steered from the plain distribution, in nats."""

    def __repr__(self) -> str:
        items = [f"{each.token!r} {each.logprob:.2f}" for each in self.data]
        return summary("NextTokens", f"entropy {self.entropy:.2f}", items)

    def _repr_html_(self) -> str:
        return next_tokens_html(self)
