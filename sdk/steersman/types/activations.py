"""The features that fire on tokens."""

from typing import Annotated

from msgspec import Meta, Struct


class ActivationOptions(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Ask for the most active features of every token of an answer."""

    top_k: Annotated[int, Meta(ge=1, le=100)] = 10
    """Features a token."""


class FeatureActivation(Struct, frozen=True):
    """One feature at one token."""

    feature: int
    label: str
    activation: float
    """After edits, in residual units."""
    h_max: float


class TokenActivations(Struct, frozen=True):
    """The features of one token of an answer, most active first."""

    index: int
    token: str
    features: list[FeatureActivation]


class ChoiceActivations(Struct, frozen=True):
    """The features of one choice's tokens: all of them, or in a stream those since the chunk before.

    The very last token of an answer that `max_tokens` or a stop string cut off was read by nobody and
    may be missing.
    """

    choice: int
    tokens: list[TokenActivations]
