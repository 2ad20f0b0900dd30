"""A call as data: what to send and what comes back. Nothing here touches the network."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, Generic, Protocol, Self, TypeVar, cast, runtime_checkable

import msgspec

from steersman.errors import ResponseError, excerpt
from steersman.types import Feature, Variant

T = TypeVar("T")


@runtime_checkable
class NamesFeature(Protocol):
    """What an answer says of a feature, by its index: an attribution, an activation, an edit."""

    @property
    def feature(self) -> int:
        """Index of the feature."""
        ...


FeatureLike = int | Feature | NamesFeature
"""A feature, or anything that names one."""


@dataclass(frozen=True)
class Call(Generic[T]):
    """One HTTP request, and the type of its answer."""

    method: str
    path: str
    answer: type[T]
    query: dict[str, str | int | float] = field(default_factory=dict)
    body: bytes | None = None

    def with_query(self, **parameters: Any) -> Self:
        """The same call with more parameters; those that are None are left out."""
        given = {name: _parameter(value) for name, value in parameters.items() if value is not None}
        return replace(self, query={**self.query, **given})


def post(path: str, request: type[Any], fields: Mapping[str, Any], answer: type[T]) -> Call[T]:
    """A call whose body is a `request` of these fields; those that are None are left out.

    Raises:
        ValueError: A field is misspelt or holds what it may not; the message gives its place.
    """
    return Call("POST", path, answer, body=body_of(request, fields))


def body_of(request: type[Any], fields: Mapping[str, Any]) -> bytes:
    """The JSON of a `request` of these fields, as `post` sends it."""
    given = {name: value for name, value in fields.items() if value is not None}
    if isinstance(given.get("model"), Variant):
        given["model"] = given["model"].id
    try:
        checked = msgspec.json.decode(msgspec.json.encode(given, enc_hook=_plain), type=request)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    return msgspec.json.encode(checked)


def index_of(feature: FeatureLike) -> int:
    """The index of a feature.

    Raises:
        ValueError: It is negative.
        TypeError: It names no feature.
    """
    if isinstance(feature, Feature):
        return feature.index
    if isinstance(feature, Integral):
        if feature < 0:
            raise ValueError(f"Feature {feature}: an index is 0 or more.")
        return int(feature)
    if isinstance(feature, NamesFeature):
        return feature.feature
    raise TypeError(f"{feature!r} names no feature: give an index, or what the server said of one.")


def indices_of(features: FeatureLike | Iterable[FeatureLike]) -> Sequence[int]:
    """The indices of one feature, or of several."""
    if isinstance(features, (int, Feature, NamesFeature)):
        return [index_of(features)]
    return [index_of(feature) for feature in features]


def decode(body: bytes, answer: type[T]) -> T:
    """Read `body` as JSON of type `answer`.

    Raises:
        ResponseError: It is something else.
    """
    try:
        return msgspec.json.decode(body, type=answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ResponseError(
            f"The answer is no {answer.__name__}: {error}. It begins: {excerpt(body)!r}"
        ) from error


def _parameter(value: Any) -> str | int | float:
    return str(value).lower() if isinstance(value, bool) else value


def _plain(value: Any) -> Any:
    """A number that is not one of Python's own, such as NumPy's; what is iterable as a list."""
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Iterable):
        return list(cast(Iterable[Any], value))
    raise TypeError(f"A request cannot hold {value!r} of type {type(value).__name__}.")
