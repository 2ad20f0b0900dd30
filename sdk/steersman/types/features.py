"""Features, as the catalogue knows them."""

from typing import Literal

from msgspec import Struct

from steersman.notebook import feature_html
from steersman.types.conditions import Condition, Operator, Unit
from steersman.types.messages import Role
from steersman.types.steering import FeatureEdit, Mode, Phase


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
    kind: str = "none"
    """What the label is about: `token`, `context`, `topic`, `syntax`, `position`, `output`, `mixed` or
    `unclear`."""
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
    """Moderation forbids to raise it; an edit may lower it."""
    examples: list[Example] = []
    """Set when one feature is asked for."""
    bundle: str = ""
    """The bundle that it belongs to; with `index` this is what tells it from every other."""

    def edit(
        self,
        strength: float,
        mode: Mode = "set",
        *,
        unit: Unit = "h_max",
        phase: Phase = "all",
        roles: tuple[Role, ...] | None = None,
        when: Condition | None = None,
    ) -> FeatureEdit:
        """An edit of this feature; `strength` in units of its h_max, for `scale` a factor."""
        return FeatureEdit(self.index, strength, mode, unit, phase, roles, when)

    def __eq__(self, other: object) -> bool:
        """The same feature, whatever else is known of it here and there."""
        if not isinstance(other, Feature):
            return NotImplemented
        return (self.bundle, self.index) == (other.bundle, other.index)

    def __hash__(self) -> int:
        return hash((self.bundle, self.index))

    def __gt__(self, other: "float | Feature") -> Condition:
        """Where it is more active than so many times its h_max, or than another feature."""
        return _compare(self, ">", other)

    def __ge__(self, other: "float | Feature") -> Condition:
        """Where it is at least so active."""
        return _compare(self, ">=", other)

    def __lt__(self, other: "float | Feature") -> Condition:
        """Where it is less active."""
        return _compare(self, "<", other)

    def __le__(self, other: "float | Feature") -> Condition:
        """Where it is at most so active."""
        return _compare(self, "<=", other)

    def __repr__(self) -> str:
        return f"Feature({self.index}: {self.label!r})"

    def _repr_html_(self) -> str:
        return feature_html(self)


def _compare(feature: Feature, op: Operator, other: float | Feature) -> Condition:
    if isinstance(other, Feature):
        return Condition(feature=feature.index, op=op, other=other.index)
    return Condition(feature=feature.index, op=op, value=float(other))


class FeaturePage(Struct, frozen=True, kw_only=True):
    """A page of features; pass `last_id` as `after` for the next."""

    object: Literal["list"]
    data: list[Feature]
    has_more: bool
    first_id: str | None
    last_id: str | None
