"""Our edits and conditions, as Goodfire's `controller` says them."""

from collections.abc import Iterable
from itertools import groupby

from steersman.goodfire.read import MODES
from steersman.types import JSON, Condition, FeatureEdit

THEIRS = {ours: theirs for theirs, ours in MODES.items()}


def write_controller(edits: Iterable[FeatureEdit], abort_when: Iterable[Condition] = ()) -> JSON:
    """A controller that `read_controller`, and a server's field of that name, reads as these.

    Raises:
        ValueError: An edit says what a controller has no words for; the message tells what.
    """
    plain: list[FeatureEdit] = []
    scoped: list[FeatureEdit] = []
    for edit in edits:
        if edit.when is None and any(edit.feature == before.feature for before in scoped):
            raise ValueError(
                f"Feature {edit.feature} has an edit without a condition after one with: a controller "
                "carries out those without first. Put it first, or send feature_edits."
            )
        (plain if edit.when is None else scoped).append(edit)
    scopes = [
        _scope(when, [_intervention(edit) for edit in group])
        for when, group in groupby(scoped, lambda edit: edit.when)
        if when is not None
    ]
    ends = [_scope(condition, [], f"abort_{place}") for place, condition in enumerate(abort_when)]
    return _controller([_intervention(edit) for edit in plain], [*scopes, *ends])


def _intervention(edit: FeatureEdit) -> JSON:
    if (edit.unit, edit.phase, edit.roles) != ("h_max", "all", None):
        raise ValueError(f"A controller has no words for unit, phase and roles: {edit}. Send feature_edits.")
    return {"mode": THEIRS[edit.mode], "features": _features(edit.feature), "value": edit.strength}


def _features(index: int) -> JSON:
    named = {"uuid": f"{index:032x}", "label": "", "index_in_sae": index, "max_activation_strength": 1}
    return {"features": [named]}


def _condition(condition: Condition) -> JSON:
    """As a group, which is what a scope has."""
    if condition.not_ is not None:
        raise ValueError(f"A controller has no word for `not`: {condition}. Send feature_edits.")
    if condition.feature is None:
        parts = condition.all or condition.any or ()
        operator = "AND" if condition.all else "OR"
        return {"conditionals": [_part(part) for part in parts], "operator": operator}
    return {"conditionals": [_part(condition)], "operator": "AND"}


def _part(condition: Condition) -> JSON:
    if condition.feature is None:
        return _condition(condition)
    if condition.unit != "h_max":
        raise ValueError(f"A controller has no words for raw units: {condition}. Send feature_edits.")
    right = condition.value if condition.other is None else _features(condition.other)
    return {"left_hand": _features(condition.feature), "right_hand": right, "operator": condition.op}


def _scope(when: Condition, interventions: list[JSON], event_name: str | None = None) -> JSON:
    controller = _controller(interventions, [])
    return {
        "conditionals": _condition(when),
        "controller": controller,
        "is_active": False,
        "event_name": event_name,
    }


def _controller(interventions: list[JSON], scopes: list[JSON]) -> JSON:
    return {
        "interventions": interventions,
        "scopes": scopes,
        "name": "steersman",
        "nonzero_strength_threshold": None,
        "min_nudge_entropy": None,
        "max_nudge_entropy": None,
    }
