"""A request's edits and conditions, resolved against the catalogue: every number in residual units."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from steersman.types import Condition, Feature, FeatureEdit
from steersman_catalog import UnknownFeatureError
from steersman_engine import conditions as engine
from steersman_engine.edits import AffineEdit
from steersman_engine.prompt import ROLES, Prompt
from steersman_server.config import ServerConfig
from steersman_server.errors import RequestError
from steersman_server.served import ServedModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Steering:
    """Edits and conditions that can be carried out."""

    edits: tuple[FeatureEdit, ...] = ()
    features: tuple[Feature, ...] = ()
    """Those of the edits, in that order."""
    affine: tuple[AffineEdit, ...] = ()
    abort_when: tuple[engine.Condition, ...] = ()
    num_inherited: int = 0
    """So many of the edits are a variant's."""

    def __bool__(self) -> bool:
        """Whether there is anything to report."""
        return bool(self.edits or self.abort_when)


def resolve(
    edits: Sequence[FeatureEdit],
    abort_when: Sequence[Condition],
    served: ServedModel,
    config: ServerConfig,
    *,
    num_inherited: int = 0,
) -> Steering:
    """Look the features up and check ranges; `check_effect` does the rest. Reads the catalogue: it blocks.

    `num_inherited`: so many of the edits are a variant's, which errors have to say.

    Raises:
        RequestError: A feature is unknown, a strength out of range, or an edit changes nothing.
    """
    limit = min(config.max_edits, served.engine.info.max_edits)
    if len(edits) > limit:
        message = f"There are {len(edits)} edits, the variant's included, and a request may have {limit}."
        raise RequestError(message, param="feature_edits", code="array_above_max_length")
    params = [_param(i, num_inherited) for i in range(len(edits))]
    features = [
        _feature(edit.feature, f"{param}.feature", served) for edit, param in zip(edits, params, strict=True)
    ]
    return Steering(
        edits=tuple(edits),
        features=tuple(features),
        affine=tuple(
            _affine(param, edit, feature, served, config.max_strength)
            for param, edit, feature in zip(params, edits, features, strict=True)
        ),
        num_inherited=num_inherited,
        abort_when=tuple(
            _condition(condition, f"abort_when[{i}]", served) for i, condition in enumerate(abort_when)
        ),
    )


def check_effect(steering: Steering, prompt: Prompt, max_tokens: int) -> None:
    """Refuse edits that could touch no token of a prompt and an answer of at most `max_tokens`.

    Raises:
        RequestError: There is one.
    """
    for i, (edit, affine) in enumerate(zip(steering.edits, steering.affine, strict=True)):
        param = _param(i, steering.num_inherited)
        if edit.roles is not None and not set(affine.roles or ()) & set(prompt.roles):
            present = ", ".join(ROLES[role] for role in sorted(set(prompt.roles)))
            message = (
                f"No token of the prompt belongs to {' or '.join(edit.roles)}; the roles are: {present}."
            )
            raise RequestError(message, param=f"{param}.roles", code="edit_without_effect")
        if not affine.in_prompt and max_tokens < 2:
            message = (
                "An edit of the answer's tokens first changes its second one, and"
                f" {'there is no answer here' if max_tokens < 1 else 'this answer has one at most'}."
            )
            raise RequestError(message, param=f"{param}.phase", code="edit_without_effect")


def _param(index: int, num_inherited: int) -> str:
    if index < num_inherited:
        return f"model.feature_edits[{index}]"
    return f"feature_edits[{index - num_inherited}]"


def _feature(index: int, param: str, served: ServedModel) -> Feature:
    try:
        return served.catalog.features([index], hidden=served.sees_hidden)[0]
    except UnknownFeatureError as error:
        raise RequestError(str(error), param=param, code="feature_not_found") from error


def _affine(
    name: str, edit: FeatureEdit, feature: Feature, served: ServedModel, max_strength: float
) -> AffineEdit:
    """The edit in residual units, if it may be made and can have an effect."""
    if edit.roles == ():
        message = "`roles` is empty, so no token would be edited: leave it out to edit all."
        raise RequestError(message, param=f"{name}.roles", code="edit_without_effect")
    _check_strength(name, edit, feature, max_strength)
    when = None if edit.when is None else _condition(edit.when, f"{name}.when", served)
    try:
        made = AffineEdit.of(edit, feature.h_max, when)
    except ValueError as error:
        raise RequestError(str(error), param=name, code="edit_without_effect") from error
    if feature.refused and not made.lowers and not served.sees_hidden:
        message = (
            f"Feature {edit.feature} may not be raised: moderation refuses it. An edit may lower it: set it"
            " to 0 or below, add less than 0, or scale it by less than 1."
        )
        raise RequestError(message, param=f"{name}.feature", code="feature_refused")
    return made


def _check_strength(name: str, edit: FeatureEdit, feature: Feature, max_strength: float) -> None:
    high, unit = max_strength, "times h_max"
    if edit.mode == "scale":
        unit = "times the activation"
    elif edit.unit == "raw":
        high, unit = max_strength * feature.h_max or float("inf"), "residual units"
    low = 0.0 if edit.mode == "scale" else -high
    if not low <= edit.strength <= high:
        side = "above_max" if edit.strength > high else "below_min"
        message = (
            f"Invalid '{name}.strength': {edit.strength:g} is out of range. For feature {edit.feature} a"
            f" {edit.mode} takes {low:g} to {high:g} {unit}."
        )
        raise RequestError(message, param=f"{name}.strength", code=f"decimal_{side}_value")


def _condition(condition: Condition, param: str, served: ServedModel) -> engine.Condition:
    """The condition as the engine asks it."""
    if condition.not_ is not None:
        return engine.Not(_condition(condition.not_, f"{param}.not", served))
    if condition.all is not None:
        return engine.AllOf(tuple(_conditions(condition.all, f"{param}.all", served)))
    if condition.any is not None:
        return engine.AnyOf(tuple(_conditions(condition.any, f"{param}.any", served)))
    assert condition.feature is not None and condition.op is not None
    feature = _feature(condition.feature, f"{param}.feature", served)
    if condition.other is not None:
        other = _feature(condition.other, f"{param}.other", served)
        return engine.Comparison(feature.index, condition.op, engine.FeatureAct(other.index))
    assert condition.value is not None
    if condition.unit == "raw":
        return engine.Comparison(feature.index, condition.op, condition.value)
    if feature.h_max == 0 and condition.value != 0:
        message = (
            f"Feature {feature.index} never fired in the labelled data, so it has no h_max;"
            ' give the value in residual units with `unit: "raw"`.'
        )
        raise RequestError(message, param=f"{param}.value", code="invalid_value")
    return engine.Comparison(feature.index, condition.op, condition.value * feature.h_max)


def _conditions(
    conditions: tuple[Condition, ...], param: str, served: ServedModel
) -> Iterator[engine.Condition]:
    for i, condition in enumerate(conditions):
        yield _condition(condition, f"{param}[{i}]", served)
