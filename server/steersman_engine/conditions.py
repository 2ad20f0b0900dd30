"""When an edit acts, and when an answer is aborted: trees over feature activations.

A condition is asked of every token of its request, prompt and answer alike, and reads the
activations there as they are before any edit. It never holds at an attention sink.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Operator = Literal["<", "<=", "==", "!=", ">=", ">"]


@dataclass(frozen=True, slots=True)
class FeatureAct:
    """The activation of another feature, at the same token."""

    feature: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """A feature's activation against a number in residual units, or against another feature's."""

    feature: int
    op: Operator
    right: float | FeatureAct


@dataclass(frozen=True, slots=True)
class Not:
    """Holds where `condition` does not, attention sinks excepted."""

    condition: "Condition"


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds where every one does."""

    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds where at least one does."""

    conditions: tuple["Condition", ...]


Condition = Comparison | Not | AllOf | AnyOf


def features_of(condition: Condition) -> Iterator[int]:
    """Every feature that the condition reads, left to right, repeats included."""
    for comparison in comparisons_of(condition):
        yield comparison.feature
        if isinstance(comparison.right, FeatureAct):
            yield comparison.right.feature


def comparisons_of(condition: Condition) -> Iterator[Comparison]:
    """The leaves of the tree, left to right."""
    match condition:
        case Comparison():
            yield condition
        case Not(inner):
            yield from comparisons_of(inner)
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from comparisons_of(part)
