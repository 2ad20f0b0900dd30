"""When an edit acts, and when an answer is aborted: trees over feature activations.

A condition is asked of every token of its request, prompt and answer alike, and reads the
activations there as they are before any edit. It never holds at an attention sink.

Shapes: `tokens` of a batch, `features` whose activations are at hand, `comparisons`, `conditions`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

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
    """Holds where every one does; there is at least one."""

    conditions: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds where at least one does; there is at least one."""

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


class ConditionTable:
    """Conditions of many requests, asked of many tokens at once.

    Each comes with the column of every feature it reads. A comparison holds where left is less, equal
    or greater, as far as its operator admits that; so all of them are a few tensor operations.
    """

    def __init__(
        self, conditions: Sequence[tuple[Condition, Mapping[int, int]]], device: torch.device
    ) -> None:
        left, right, constant, admits = [], [], [], []
        for condition, columns in conditions:
            for comparison in comparisons_of(condition):
                other = comparison.right
                left.append(columns[comparison.feature])
                right.append(columns[other.feature] if isinstance(other, FeatureAct) else left[-1])
                constant.append(float("nan") if isinstance(other, FeatureAct) else other)
                admits.append(_ADMITS[comparison.op])
        self._conditions = [condition for condition, _ in conditions]
        self._left = torch.tensor(left, dtype=torch.long, device=device)
        self._right = torch.tensor(right, dtype=torch.long, device=device)
        self._constant = torch.tensor(constant, dtype=torch.float32, device=device)
        less, equal, greater = zip(*admits, strict=True) if admits else ((), (), ())
        self._less, self._equal, self._greater = (
            torch.tensor(side, dtype=torch.bool, device=device) for side in (less, equal, greater)
        )

    def hold(self, h: Tensor) -> Tensor:
        """Which conditions hold, bool `[tokens, conditions]`, at activations `h` `[tokens, features]`."""
        if not self._conditions:
            return torch.zeros(len(h), 0, dtype=torch.bool, device=h.device)
        left = h[:, self._left]
        right = torch.where(self._constant.isnan(), h[:, self._right], self._constant)
        leaves = (
            (self._less & (left < right)) | (self._equal & (left == right)) | (self._greater & (left > right))
        )
        columns = iter(leaves.unbind(1))
        return torch.stack([_holds(condition, columns) for condition in self._conditions], dim=1)


_ADMITS: dict[Operator, tuple[bool, bool, bool]] = {
    "<": (True, False, False),
    "<=": (True, True, False),
    "==": (False, True, False),
    "!=": (True, False, True),
    ">=": (False, True, True),
    ">": (False, False, True),
}
"""Whether left may be less, equal, greater."""


def _holds(condition: Condition, leaves: Iterator[Tensor]) -> Tensor:
    match condition:
        case Comparison():
            return next(leaves)
        case Not(inner):
            return ~_holds(inner, leaves)
        case AllOf(parts):
            return torch.stack([_holds(part, leaves) for part in parts]).all(0)
        case AnyOf(parts):
            return torch.stack([_holds(part, leaves) for part in parts]).any(0)
