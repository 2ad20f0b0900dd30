"""Which features push an answer's tokens: how to ask, and what comes back."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

Method = Literal["gradient", "gradient_x_activation"]


class ContrastTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """Explain the chosen token's logit minus this token's logit."""

    token: str
    """Text that is exactly one token of the model."""


class AttributionOptions(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Ask which features push an answer's tokens."""

    tokens: Literal["all"] | tuple[Annotated[int, Meta(ge=0)], ...] = "all"
    """Which tokens of the answer to explain, by index."""
    top_k: Annotated[int, Meta(ge=1, le=100)] = 10
    """Features a token, largest absolute attribution first."""
    target: Literal["logit_minus_mean"] | ContrastTarget = "logit_minus_mean"
    method: Method = "gradient"
    """`gradient`: what would push the token further, fired or not. `gradient_x_activation`: what
    the model used."""
    aggregate: Literal["sum"] = "sum"
    """Over positions."""


class FeatureAttribution(Struct, frozen=True):
    """How much one feature pushes one token."""

    feature: int
    label: str
    attribution: float
    """Summed over positions: objective per unit of activation, or objective for
    `gradient_x_activation`."""
    activation: float
    """The feature's largest activation over those positions, after edits; 0 where it did not fire."""
    h_max: float


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
    target: Literal["logit_minus_mean"] | ContrastTarget
    tokens: list[TokenAttribution]
