"""Goodfire's `controller` and Variant JSON, read into our words.

`nudge` adds, `pin` sets, `mul` scales; a value is in units of h_max, as Goodfire's strengths were about
-1 to 1. A feature is its `index_in_sae`: its uuid differed from endpoint to endpoint. A scope is a
condition on the edits within. A scope with an `event_name` made their client stop or call a handler;
here it ends the answer. What was never in use there (entropy gates, thresholds) is refused if it is set.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from steersman.types import JSON, Condition, FeatureEdit, Mode, Operator

MODES: dict[str, Mode] = {"nudge": "add", "pin": "set", "mul": "scale"}


class GFeature(Struct):
    """A feature; the rest of what it says of itself is its catalogue's business."""

    index_in_sae: int


class GFeatures(Struct):
    """Several features."""

    features: list[GFeature]


class GIntervention(Struct, forbid_unknown_fields=True):
    """An edit of several features."""

    mode: Literal["nudge", "pin", "mul"]
    features: GFeatures
    value: float | bool


class GConditional(Struct, forbid_unknown_fields=True):
    """A comparison, or in a nested list a group."""

    left_hand: GFeatures | None = None
    right_hand: float | dict[str, Any] | None = None
    operator: str = "AND"
    conditionals: list["GConditional"] | None = None


class GScope(Struct, forbid_unknown_fields=True):
    """What holds under a condition."""

    conditionals: GConditional
    controller: "GController"
    is_active: bool = False
    event_name: str | None = None


class GController(Struct, forbid_unknown_fields=True):
    """Edits and scopes."""

    interventions: list[GIntervention]
    scopes: list[GScope]
    name: str | None = None
    nonzero_strength_threshold: None = None
    min_nudge_entropy: None = None
    max_nudge_entropy: None = None


class GEdit(Struct):
    """An edit of a Variant's JSON."""

    index_in_sae: int
    value: float
    mode: Literal["nudge", "pin", "mul"] = "nudge"


class GVariant(Struct, forbid_unknown_fields=True):
    """A Variant's JSON."""

    edits: list[GEdit]
    base_model: str | None = None
    scopes: list[Any] = []


Read = tuple[tuple[FeatureEdit, ...], tuple[Condition, ...]]
"""Edits, and conditions that end an answer."""


def read_controller(given: JSON) -> Read:
    """What a controller or a Variant means.

    Raises:
        ValueError: It is neither, or asks for what was never defined.
    """
    try:
        if "edits" not in given:
            return _read(msgspec.convert(given, GController, strict=True), None)
        variant = msgspec.convert(given, GVariant, strict=True)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    if variant.scopes:
        raise ValueError("a Variant's scopes never survived its JSON; send its controller, which has them")
    edits = (
        FeatureEdit(edit.index_in_sae, edit.value, MODES[edit.mode])
        for edit in variant.edits
        if edit.value or edit.mode != "nudge"
    )
    return tuple(edits), ()


def _read(controller: GController, when: Condition | None) -> Read:
    edits: list[FeatureEdit] = []
    aborts: list[Condition] = []
    for made in controller.interventions:
        for feature in made.features.features:
            strength = float(made.value)
            if made.mode == "nudge" and strength == 0:
                continue  # it said so itself: a nudge by nothing
            edits.append(FeatureEdit(feature.index_in_sae, strength, MODES[made.mode], when=when))
    for scope in controller.scopes:
        condition = _read_condition(scope.conditionals)
        if when is not None:
            condition = Condition(all=(when, condition))
        if scope.event_name is not None:
            aborts.append(condition)
        inner_edits, inner_aborts = _read(scope.controller, condition)
        edits += inner_edits
        aborts += inner_aborts
    return tuple(edits), tuple(aborts)


def _read_condition(given: GConditional) -> Condition:
    if given.conditionals is not None:
        parts = tuple(_read_condition(part) for part in given.conditionals)
        if given.operator not in ("AND", "OR") or not parts:
            raise ValueError(f"a group of {len(parts)} conditions joined by {given.operator[:20]!r}")
        if len(parts) == 1:
            return parts[0]
        return Condition(all=parts) if given.operator == "AND" else Condition(any=parts)
    if given.left_hand is None or given.right_hand is None:
        raise ValueError("a condition needs `left_hand` and `right_hand`")
    try:
        op: Operator = msgspec.convert(given.operator, Operator)
    except msgspec.ValidationError as error:
        raise ValueError(f"there is no operator {given.operator[:20]!r}") from error
    left = _only(given.left_hand)
    if isinstance(given.right_hand, float | int):
        return Condition(feature=left, op=op, value=float(given.right_hand))
    side = given.right_hand
    try:
        other = msgspec.convert(side, GFeatures if "features" in side else GFeature)
    except msgspec.ValidationError as error:
        raise ValueError(f"the right hand of a condition is no feature: {error}") from error
    return Condition(
        feature=left, op=op, other=_only(other) if isinstance(other, GFeatures) else other.index_in_sae
    )


def _only(group: GFeatures) -> int:
    if len(group.features) != 1:
        raise ValueError(
            f"comparing a group of {len(group.features)} features was never defined; compare one at a time"
        )
    return group.features[0].index_in_sae
