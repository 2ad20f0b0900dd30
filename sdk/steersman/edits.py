"""Sets of edits, to be combined before they are sent."""

from collections.abc import Iterable, Iterator
from typing import SupportsIndex, overload

import msgspec

from steersman.goodfire import read_controller, write_controller
from steersman.types import JSON, Feature, FeatureEdit


class Edits(tuple[FeatureEdit, ...]):
    """Edits in the order in which they are carried out; `feature_edits` takes it as it is.

    `+` carries one set out after another, `*` makes a set weaker or stronger, `-` takes features out.
    """

    __slots__ = ()

    @classmethod
    def of(cls, edits: Iterable[FeatureEdit | JSON]) -> "Edits":
        """From edits, or dictionaries with the same fields.

        Raises:
            ValueError: A dictionary is no edit; the message gives the place.
        """
        try:
            return cls(msgspec.convert(msgspec.to_builtins(list(edits)), list[FeatureEdit]))
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error

    @classmethod
    def from_json(cls, text: str | bytes) -> "Edits":
        """What `json` gave."""
        try:
            return cls(msgspec.json.decode(text, type=list[FeatureEdit]))
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error

    @classmethod
    def from_goodfire(cls, given: JSON) -> "Edits":
        """The edits of a Goodfire controller or of a Variant's JSON: `nudge` adds, `pin` sets, `mul` scales.

        Raises:
            ValueError: It is neither, it asks for what was never defined, or it also ends answers, which
                edits cannot; `steersman.goodfire.read_controller` gives edits and conditions.
        """
        edits, aborts = read_controller(given)
        if aborts:
            raise ValueError(
                f"It ends answers on {len(aborts)} condition(s), which edits cannot: "
                "steersman.goodfire.read_controller gives edits and `abort_when`."
            )
        return cls(edits)

    def to_goodfire(self) -> JSON:
        """A Goodfire controller that says the same.

        Raises:
            ValueError: An edit says what a controller has no words for: a phase, roles, raw units, `not`.
        """
        return write_controller(self)

    def json(self) -> str:
        """A list of edits, as a request says them."""
        return msgspec.json.encode(tuple(self)).decode()

    @property
    def features(self) -> tuple[int, ...]:
        """The features edited, each once, in the order of their first edit."""
        return tuple(dict.fromkeys(edit.feature for edit in self))

    def __add__(self, other: Iterable[FeatureEdit]) -> "Edits":  # type: ignore[override] # narrower than tuple's
        return Edits((*self, *other))

    def __mul__(self, by: SupportsIndex | float) -> "Edits":  # type: ignore[override] # not repetition
        """The same edits `by` times as strong: 0 would do nothing and is refused, 1 is all of them."""
        if not isinstance(by, (int, float)) or by == 0:
            raise ValueError(
                f"Edits times {by!r}: give a number that is not 0; leave edits out to do nothing."
            )
        return Edits(_times(edit, float(by)) for edit in self)

    def __sub__(self, features: "int | Feature | Iterable[int | Feature | FeatureEdit]") -> "Edits":
        """These edits but those of some features."""
        gone = {features} if isinstance(features, int) else set(_indices(features))
        return Edits(edit for edit in self if edit.feature not in gone)

    @overload
    def __getitem__(self, key: SupportsIndex) -> FeatureEdit: ...

    @overload
    def __getitem__(self, key: slice) -> "Edits": ...

    def __getitem__(self, key: SupportsIndex | slice) -> "FeatureEdit | Edits":
        found = super().__getitem__(key)
        return found if isinstance(found, FeatureEdit) else Edits(found)

    def __repr__(self) -> str:
        return f"Edits({list(self)!r})"


def _times(edit: FeatureEdit, by: float) -> FeatureEdit:
    """`set` and `add` of so many times the strength; a `scale` so many times as far from 1."""
    strength = 1 + by * (edit.strength - 1) if edit.mode == "scale" else by * edit.strength
    return msgspec.structs.replace(edit, strength=strength)


def _indices(features: "Feature | Iterable[int | Feature | FeatureEdit]") -> Iterator[int]:
    for feature in [features] if isinstance(features, Feature) else features:
        if isinstance(feature, int):
            yield feature
        else:
            yield feature.index if isinstance(feature, Feature) else feature.feature
