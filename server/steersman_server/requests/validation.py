"""msgspec's errors in OpenAI's words: which field, what was wrong with it, and what it may hold."""

import re
from collections.abc import Callable, Mapping, Sized
from typing import Any

import msgspec
from msgspec import inspect

from steersman_server.errors import RequestError

MAX_ECHO = 100
"""Characters of a value that an error repeats."""

AT = re.compile(r"(?P<what>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
STEP = re.compile(r"([^.\[\]]+)")
TYPE_NAMES = {"str": "a string", "int": "an integer", "float": "a number", "bool": "a boolean"}
TYPE_NAMES |= {"array": "an array", "object": "an object", "null": "null"}

OTHER_ROLES = ("function",)
"""Roles of OpenAI's that no message here may have."""

Explain = Callable[[str, Any, re.Match[str], Any], RequestError]


def excerpt(text: str) -> str:
    """`text`, cut if it is long."""
    return text if len(text) <= MAX_ECHO else text[:MAX_ECHO] + "…"


def check_length(given: Sized, limit: int, param: str) -> None:
    """Refuse a list that is longer than the server takes.

    Raises:
        RequestError: It is.
    """
    if len(given) > limit:
        message = (
            f"Invalid '{param}': array too long. Expected an array with maximum length {limit}, but got an"
            f" array with length {len(given)} instead."
        )
        raise RequestError(message, param=param, code="array_above_max_length")


def explain(
    error: msgspec.ValidationError, fields: Mapping[str, msgspec.Raw], kind: Any, *, under: str = ""
) -> RequestError:
    """The error to answer with; `fields` are the body's, `under` is the field that was decoded.

    `kind` is the type that the whole body should have been.
    """
    located = AT.fullmatch(str(error))
    assert located is not None
    what, path = located["what"], located["path"] or ""
    param = f"{under}{'' if path.startswith('[') or not under or not path else '.'}{path}"
    for pattern, make in KINDS:
        if found := pattern.fullmatch(what):
            return make(param, fields, found, kind)
    message = f"Invalid '{param}': {excerpt(what)}." if param else f"Invalid request: {excerpt(what)}."
    return RequestError(message, param=param or None, code="invalid_value")


def _missing(param: str, fields: Any, found: re.Match[str], kind: Any) -> RequestError:
    param = f"{param}.{found['name']}" if param else found["name"]
    message = f"Missing required parameter: '{param}'."
    return RequestError(message, param=param, code="missing_required_parameter")


def _unknown(param: str, fields: Any, found: re.Match[str], kind: Any) -> RequestError:
    param = f"{param}.{excerpt(found['name'])}"
    return RequestError(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")


def _type(param: str, fields: Any, found: re.Match[str], kind: Any) -> RequestError:
    if found["expected"] == "null":
        return _unsupported(param)
    expected = " or ".join(TYPE_NAMES.get(name, name) for name in found["expected"].split(" | "))
    got = TYPE_NAMES.get(found["got"], found["got"])
    where = f" for '{param}'" if param else ""
    message = f"Invalid type{where}: expected {expected}, but got {got} instead."
    return RequestError(message, param=param or None, code="invalid_type")


def _unsupported(param: str) -> RequestError:
    message = f"Unsupported parameter: '{param}'. Leave it out."
    return RequestError(message, param=param, code="unsupported_parameter")


def _range(param: str, fields: Any, found: re.Match[str], kind: Any) -> RequestError:
    noun = "integer" if found["type"] == "int" else "decimal"
    side = "below min" if found["op"].startswith(">") else "above max"
    message = (
        f"Invalid '{param}': {noun} {side}imum value. Expected a value {found['op']} "
        f"{float(found['bound']):g}, but got {excerpt(str(_value(fields, param)))} instead."
    )
    return RequestError(message, param=param, code=f"{noun}_{side.replace(' ', '_')}_value")


def _length(param: str, fields: Any, found: re.Match[str], kind: Any) -> RequestError:
    if (found["op"], found["bound"]) == ("", "0"):
        return _unsupported(param)
    noun = "array" if found["type"] == "array" else "string"
    article = "an" if noun == "array" else "a"
    if found["op"] == ">= ":
        message = (
            f"empty {noun}. Expected {article} {noun} with minimum length {found['bound']}, but got an empty"
        )
        message, code = f"{message} {noun}", f"empty_{noun}"
    else:
        size = len(_value(fields, param))
        message = f"{noun} too long. Expected {article} {noun} with maximum length {found['bound']}, but got"
        message, code = f"{message} {article} {noun} with length {size}", f"{noun}_above_max_length"
    return RequestError(f"Invalid '{param}': {message} instead.", param=param, code=code)


def _enum(param: str, fields: Any, found: re.Match[str], kind: Any) -> RequestError:
    allowed = _literals(inspect.type_info(kind), _steps(param))
    message = f"Invalid value: {excerpt(found['value'])}."
    if allowed:
        message += f" Supported values of '{param}' are: {', '.join(repr(value) for value in allowed)}."
    known_elsewhere = param.endswith("].type") or found["value"].strip("'") in OTHER_ROLES
    return RequestError(
        message, param=param, code="unsupported_value" if known_elsewhere else "invalid_value"
    )


KINDS: list[tuple[re.Pattern[str], Explain]] = [
    (re.compile(r"Object missing required field `(?P<name>.*)`"), _missing),
    (re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL), _unknown),
    (re.compile(r"Expected `(?P<expected>.*)`, got `(?P<got>.*)`"), _type),
    (re.compile(r"Expected `(?P<type>int|float)` (?P<op>[<>]=?) (?P<bound>\S+)"), _range),
    (re.compile(r"Expected `(?P<type>array|str)` of length (?P<op>[<>]=? |)(?P<bound>\d+)"), _length),
    (re.compile(r"Invalid (?:enum )?value (?P<value>.*)", re.DOTALL), _enum),
]


def _steps(param: str) -> list[str]:
    return STEP.findall(param)


def _value(fields: Mapping[str, msgspec.Raw], param: str) -> Any:
    """What the body holds at `param`."""
    first, *rest = _steps(param)
    value = msgspec.json.decode(fields[first])
    for step in rest:
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value


def _literals(kind: inspect.Type, steps: list[str]) -> list[Any]:
    """The values that a type allows at a path, as far as it is a choice of some."""
    if isinstance(kind, inspect.UnionType):
        return [value for member in kind.types for value in _literals(member, steps)]
    if isinstance(kind, inspect.LiteralType) and not steps:
        return list(kind.values)
    if isinstance(kind, inspect.VarTupleType) and steps:
        return _literals(kind.item_type, steps[1:])
    if isinstance(kind, inspect.StructType) and steps:
        if steps == [kind.tag_field]:
            return [kind.tag]
        for field in kind.fields:
            if field.encode_name == steps[0]:
                return _literals(field.type, steps[1:])
    return []
