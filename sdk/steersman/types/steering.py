"""Edits of features, and the receipt of what they did."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from steersman.notebook import receipt_html
from steersman.types.conditions import Condition, FeatureIndex, Unit
from steersman.types.messages import Role

Mode = Literal["set", "add", "scale"]
Phase = Literal["all", "prompt", "generation"]


class FeatureEdit(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Move one SAE feature at every position in scope; the SAE's error term stays as it is.

    Several edits of one feature compose in the order given: a later `set` wins, `add`s sum.
    """

    feature: FeatureIndex
    strength: float
    """In units of the feature's h_max for `set` and `add` (see `unit`); a plain factor for `scale`."""
    mode: Mode = "set"
    """`set` makes the feature `strength`, `add` adds it, `scale` multiplies by it (0 ablates)."""
    unit: Unit = "h_max"
    """`raw`: `strength` is a length in the residual stream instead. Not for `scale`."""
    phase: Phase = "all"
    """Whether tokens of the prompt, of the answer, or both are edited."""
    roles: tuple[Role, ...] | None = None
    """Only prompt tokens of messages with one of these roles. Needs a phase that has a prompt."""
    when: Condition | None = None
    """Only tokens where this holds."""


Edits = Annotated[tuple[FeatureEdit, ...], Meta(max_length=64)]
Aborts = Annotated[tuple[Condition, ...], Meta(max_length=16)]


class AppliedEdit(Struct, frozen=True, omit_defaults=True):
    """What one edit really did. `edit` gives it back as a request says it."""

    feature: int
    label: str
    mode: Mode
    strength: float
    unit: Unit
    mul: float
    add: float
    """The edit as an affine map of the activation, `mul * h + add`, in residual units."""
    tokens_edited: int
    """Of all choices together; each counts its prompt."""
    mean_activation_before: float
    """Over the tokens edited, in residual units; 0 when there are none."""
    phase: Phase = "all"
    roles: tuple[Role, ...] | None = None
    when: Condition | None = None

    @property
    def edit(self) -> FeatureEdit:
        """The edit that was asked for."""
        return FeatureEdit(
            self.feature, self.strength, self.mode, self.unit, self.phase, self.roles, self.when
        )


class AbortReport(Struct, frozen=True):
    """Which condition ended a choice, and where."""

    choice: int
    condition: int
    """Index into `abort_when`, or into the variant's and then the request's."""
    position: int
    """Of the token where it held, counted from the prompt's first."""
    index: int | None
    """The same token, counted from the answer's first; null in the prompt."""
    token: str


class SteeringReceipt(Struct, frozen=True, omit_defaults=True):
    """The edits that made an answer, as they were carried out.

    The same request with `edits` (each as `edit` gives it) and `seed` gives the same text.
    """

    bundle: str
    edits: list[AppliedEdit]
    seed: int | None = None
    """The seed that was used, drawn by the server where the request gave none."""
    abort: list[AbortReport] = []
    """The choices that a condition ended."""

    def _repr_html_(self) -> str:
        return receipt_html(self)
