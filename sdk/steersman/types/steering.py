"""Edits of features, and the receipt of what they did."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from steersman.types.messages import Role

Mode = Literal["set", "add", "scale"]
Phase = Literal["all", "prompt", "generation"]

FeatureIndex = Annotated[int, Meta(ge=0, description="Index of the feature in its SAE.")]


class FeatureEdit(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Move one SAE feature at every position in scope; the SAE's error term stays as it is."""

    feature: FeatureIndex
    strength: float
    """In units of the feature's h_max for `set` and `add` (see `unit`); a plain factor for `scale`."""
    mode: Mode = "set"
    """`set` makes the feature `strength`, `add` adds it, `scale` multiplies by it (0 ablates)."""
    unit: Literal["h_max", "raw"] = "h_max"
    """`raw`: `strength` is a length in the residual stream instead. Not for `scale`."""
    phase: Phase = "all"
    """Whether tokens of the prompt, of the answer, or both are edited."""
    roles: tuple[Role, ...] | None = None
    """Only prompt tokens of messages with one of these roles. Needs a phase that has a prompt."""


class AppliedEdit(Struct, frozen=True):
    """What one edit really did."""

    feature: int
    label: str
    mode: Mode
    strength: float
    unit: Literal["h_max", "raw"]
    mul: float
    add: float
    """The edit as an affine map of the activation, `mul * h + add`, in residual units."""
    tokens_edited: int
    mean_activation_before: float
    """Over the tokens edited, in residual units; 0 when there are none."""


class SteeringReceipt(Struct, frozen=True):
    """The edits that made an answer, as they were carried out."""

    bundle: str
    edits: list[AppliedEdit]
