"""Which features push an answer's tokens: how to ask, and what comes back."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from steersman.notebook import attribution_html
from steersman.summaries import summary
from steersman.types.steering import FeatureEdit

Method = Literal["gradient", "gradient_x_activation"]
Aggregate = Literal["sum", "max", "per_position"]
Sign = Literal["both", "positive", "negative"]


class ContrastTarget(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Explain a difference of two logits. Each text is exactly one token of the model."""

    token: str | None = None
    """Subtract this token's logit; left out: the mean of all logits."""
    given: str | None = None
    """Explain this token's logit; left out: that of the token the answer has there."""

    def __post_init__(self) -> None:
        """Raise ValueError if it is empty."""
        if self.token is None and self.given is None:
            raise ValueError("A target needs `token`, `given` or both")


Target = Literal["logit_minus_mean"] | ContrastTarget


class AttributionOptions(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Ask which features push an answer's tokens."""

    tokens: Literal["all"] | tuple[int, ...] = "all"
    """Which tokens of the answer to explain, by index; -1 is its last."""
    top_k: Annotated[int, Meta(ge=1, le=100)] = 10
    """Features a token."""
    target: Target = "logit_minus_mean"
    method: Method = "gradient"
    """`gradient`: what would push the token further if it were stronger, fired or not.
    `gradient_x_activation`: what the model used."""
    aggregate: Aggregate = "sum"
    """Over the positions before a token: their sum, the one of largest size, or each by itself."""
    sign: Sign = "both"
    """`positive`: what pushes the token most; `negative`: what holds it back most."""
    positions: Literal["all", "prompt", "generation"] = "all"
    """Whose features take part: those of the prompt's tokens, of the answer's, or of both."""


class FeatureAttribution(Struct, frozen=True, omit_defaults=True):
    """How much one feature pushes one token."""

    feature: int
    label: str
    attribution: float
    """Over positions as `aggregate` says: objective per unit of activation, or objective for
    `gradient_x_activation`."""
    activation: float
    """The feature's largest activation over those positions, or that at `position`, after edits; 0 where
    it did not fire."""
    h_max: float
    position: int | None = None
    """Where, counted from the prompt's first token; only with `per_position`."""
    at: str | None = None
    """The token at `position`."""


class TokenAttribution(Struct, frozen=True):
    """The features behind one token of an answer."""

    index: int
    token: str
    objective: float
    """The explained quantity: a difference of logits."""
    features: list[FeatureAttribution]


class ChoiceAttribution(Struct, frozen=True):
    """The attribution of one choice."""

    choice: int
    method: Method
    target: Target
    tokens: list[TokenAttribution]

    def top(self, k: int = 10) -> list[FeatureAttribution]:
        """The features behind all tokens together: attributions summed, the largest by size first."""
        total: dict[int, FeatureAttribution] = {}
        for token in self.tokens:
            for each in token.features:
                so_far = total.get(each.feature)
                total[each.feature] = FeatureAttribution(
                    each.feature,
                    each.label,
                    each.attribution + (so_far.attribution if so_far else 0.0),
                    max(each.activation, so_far.activation if so_far else 0.0),
                    each.h_max,
                )
        return sorted(total.values(), key=lambda each: -abs(each.attribution))[:k]

    def suggested_edits(self, k: int = 3, *, strength: float = 0.4) -> list[FeatureEdit]:
        """Edits that should give more of these tokens: the features that push most, set to `strength`.

        A feature that holds the tokens back is set to its negative. What `gradient` finds is about turning
        features; what `gradient_x_activation` finds was used already, and ablating it takes the tokens away.
        """
        return [
            FeatureEdit(each.feature, strength if each.attribution > 0 else -strength)
            for each in self.top(k)
            if each.attribution
        ]

    def __repr__(self) -> str:
        items = [f"{each.feature} {each.label!r} {each.attribution:+.3g}" for each in self.top()]
        return summary("ChoiceAttribution", f"{self.method} of {len(self.tokens)} tokens", items)

    def _repr_html_(self) -> str:
        return attribution_html(self)
