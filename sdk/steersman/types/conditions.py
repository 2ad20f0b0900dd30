"""Conditions over feature activations: when an edit acts, and when an answer is to end."""

from typing import Annotated, Literal

from msgspec import Meta, Struct, field

FeatureIndex = Annotated[int, Meta(ge=0, description="Index of the feature in its SAE.")]
Operator = Literal["<", "<=", "==", "!=", ">=", ">"]
Unit = Literal["h_max", "raw"]

SHAPES = "A condition is {feature, op, value}, {feature, op, other}, {all: [...]}, {any: [...]} or {not: ...}"


class Condition(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """Asked of every token, with the activations there before any edit; never true at an attention sink.

    One of `{"feature": 7, "op": ">", "value": 0.5}`, `{"feature": 7, "op": ">", "other": 8}`,
    `{"all": [...]}`, `{"any": [...]}` and `{"not": ...}`, nested as you like.
    """

    feature: FeatureIndex | None = None
    op: Operator | None = None
    value: float | None = None
    """In units of the feature's h_max (see `unit`)."""
    other: FeatureIndex | None = None
    """Compare with this feature's activation in place of a value: both as lengths in the residual stream."""
    unit: Unit = "h_max"
    """`raw`: compare lengths in the residual stream."""
    all: Annotated[tuple["Condition", ...], Meta(min_length=1, max_length=64)] | None = None
    any: Annotated[tuple["Condition", ...], Meta(min_length=1, max_length=64)] | None = None
    not_: "Condition | None" = field(default=None, name="not")

    def __post_init__(self) -> None:
        """Raise ValueError unless it has exactly one of the shapes."""
        groups = [part for part in (self.all, self.any, self.not_) if part is not None]
        if self.feature is None:
            rest = (self.op, self.value, self.other)
            valid = len(groups) == 1 and rest == (None, None, None) and self.unit == "h_max"
        else:
            valid = not groups and self.op is not None and (self.value is None) != (self.other is None)
        if not valid:
            raise ValueError(SHAPES)

    def __and__(self, other: "Condition") -> "Condition":
        """Where both hold."""
        return Condition(all=(self, other))

    def __or__(self, other: "Condition") -> "Condition":
        """Where at least one holds."""
        return Condition(any=(self, other))

    def __invert__(self) -> "Condition":
        """Where it does not hold, attention sinks excepted."""
        return Condition(not_=self)

    def __bool__(self) -> bool:
        """Raise TypeError: Python's `and`, `or` and chained comparisons cannot make conditions."""
        raise TypeError(
            "A condition is asked of tokens, later: join conditions with & | ~, each in brackets."
        )
