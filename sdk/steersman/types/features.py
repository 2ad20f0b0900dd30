"""Features, as the catalogue knows them."""

from typing import Literal

from msgspec import Struct


class Example(Struct, frozen=True):
    """A piece of a real chat around the place where a feature fired."""

    document: str
    role: str
    """Of the message that holds the token of `peak`."""
    tokens: list[str]
    activations: list[float]
    """One a token, in residual units."""
    peak: int
    """Index in `tokens` of the position this example stands for."""
    stratum: int
    """Fifth of the activation range, 0 lowest to 4 highest; the feature's maximum is in 4."""


class Feature(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One feature of the SAE, as the catalogue knows it."""

    index: int
    label: str
    label_kind: str
    """Who made the label. `statistical`: counted words, not understanding; `few_firings`: the same, of
    a feature too rare to trust it; `never_fired`: there was nothing to count."""
    h_max: float
    """Largest activation in the labelled data set, in residual units; 0 if it never fired."""
    density: float
    """Share of tokens on which it fires."""
    score: float | None = None
    """How well the feature matches a search, 0 to 1, higher is better; set by a search only."""
    rating: float | None = None
    """How well its label stood the tests, 0 to 1, shrunken towards the mean of all features."""
    trusted: bool = False
    """The label is above chance, with all features tested at once."""
    flags: list[str] = []
    """What to know before using it, such as `never_fired`, `few_firings`, `always_on`, `special_tokens`."""
    hidden: bool = False
    """Moderation hides it: it is listed only when asked for."""
    refused: bool = False
    """Moderation forbids to steer it."""
    examples: list[Example] = []
    """Set when one feature is asked for."""


class FeaturePage(Struct, frozen=True, kw_only=True):
    """A page of features; pass `last_id` as `after` for the next."""

    object: Literal["list"]
    data: list[Feature]
    has_more: bool
    first_id: str | None
    last_id: str | None
