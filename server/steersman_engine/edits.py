"""What an edit does to the residual stream.

    x̃ = x + Σ_f (h̃_f − h_f) W_dec[f],      h̃ = mul · h + add

Only the edited features' rows are touched, so the SAE's error term x − x̂ stays as it is and a token
costs O(edits · d_model). Several edits of one feature compose in the order given.

Shapes: `...` any leading dims, `d_model` the width of the residual stream, `edits` the edits of one
request, `pos` positions of one sequence.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from steersman import FeatureEdit
from steersman_engine.conditions import Condition
from steersman_engine.prompt import ROLES, Prompt
from steersman_engine.sae import SAE, jump_relu
from steersman_engine.sinks import is_sink

ROLES_OF_PHASE = {"all": (True, True), "prompt": (True, False), "generation": (False, True)}


@dataclass(frozen=True, slots=True)
class AffineEdit:
    """One edit in residual units, `h̃ = mul · h + add`, and the tokens it is for."""

    feature: int
    mul: float
    add: float
    in_prompt: bool = True
    in_generation: bool = True
    roles: tuple[int, ...] | None = None
    """Indices into ROLES; None is every token of the prompt."""
    when: Condition | None = None
    """Only at tokens where this holds."""

    @classmethod
    def of(cls, edit: FeatureEdit, h_max: float, when: Condition | None = None) -> Self:
        """The map that a request's edit stands for (design of modes: `FeatureEdit`).

        Raises:
            ValueError: The edit changes nothing, or contradicts itself.
        """
        if edit.mode == "scale":
            if edit.unit == "raw":
                raise ValueError("A scale is a plain factor: leave `unit` out.")
            if edit.strength < 0:
                raise ValueError(f"A scale of {edit.strength:g} is negative; 0 ablates the feature.")
            mul, add = edit.strength, 0.0
        else:
            if edit.unit == "h_max" and h_max == 0 and edit.strength != 0:
                raise ValueError(
                    f"Feature {edit.feature} never fired in the labelled data, so it has no h_max;"
                    ' give the strength in residual units with `unit: "raw"`.'
                )
            mul = 0.0 if edit.mode == "set" else 1.0
            add = edit.strength * (h_max if edit.unit == "h_max" else 1.0)
        if (mul, add) == (1.0, 0.0):
            raise ValueError(f"A {edit.mode} of {edit.strength:g} changes nothing; leave the edit out.")
        in_prompt, in_generation = ROLES_OF_PHASE[edit.phase]
        if edit.roles is not None and not in_prompt:
            raise ValueError("`roles` choose tokens of the prompt, and the phase is `generation`.")
        roles = None if edit.roles is None else tuple(ROLES.index(role) for role in edit.roles)
        return cls(edit.feature, mul, add, in_prompt, in_generation, roles, when)

    def covers(self, prompt: Prompt, start: int, stop: int) -> list[bool]:
        """Which of the positions `start` to `stop` the edit is for; those after the prompt are generated."""
        in_prompt = [
            self.in_prompt and (self.roles is None or role in self.roles) for role in prompt.roles[start:stop]
        ]
        return in_prompt + [self.in_generation] * (stop - start - len(in_prompt))


@dataclass(frozen=True, slots=True)
class EditRows:
    """The SAE's rows for some features, gathered once a request, in float32."""

    W_enc: Tensor  # [d_model, edits]
    b_enc: Tensor  # [edits]
    threshold: Tensor  # [edits]
    W_dec: Tensor  # [edits, d_model]

    @classmethod
    def gather(cls, sae: SAE, features: Sequence[int]) -> Self:
        """The rows of `features`, in that order."""
        index = torch.tensor(features, dtype=torch.long, device=sae.W_enc.device)
        return cls(
            sae.W_enc[:, index].float(),
            sae.b_enc[index].float(),
            sae.threshold[index].float(),
            sae.W_dec[index].float(),
        )

    def encode(self, x: Tensor) -> Tensor:
        """Activations of these features: `[..., d_model]` to `[..., edits]`."""
        return jump_relu(x.float() @ self.W_enc + self.b_enc, self.threshold)


def apply_edits(x: Tensor, rows: EditRows, mul: Tensor, add: Tensor) -> tuple[Tensor, Tensor]:
    """The steered residual stream, and the activations before.

    `x` `[..., d_model]`, `mul` and `add` `[..., edits]`; a feature with (1, 0) stays as it is. The
    features are distinct. Sums are at least in float32 and rounded to `x`'s dtype once.
    """
    h = rows.encode(x)
    change = (mul - 1) * h + add
    wide = torch.promote_types(x.dtype, torch.float32)
    return (x.to(wide) + change @ rows.W_dec).to(x.dtype), h


@dataclass(slots=True)
class EditReport:
    """What one edit did: tokens it changed, and its feature's mean activation there before."""

    tokens_edited: int = 0
    activation_sum: float = 0.0

    @property
    def mean_activation_before(self) -> float:
        """0 when no token was edited."""
        return self.activation_sum / self.tokens_edited if self.tokens_edited else 0.0


@dataclass(slots=True)
class Steering:
    """The edits of one request, ready to be applied to its passes through the model."""

    edits: tuple[AffineEdit, ...]
    prompt: Prompt
    sink_norm: float
    features: list[int]
    rows: EditRows
    reports: list[EditReport] = field(default_factory=list)

    @classmethod
    def of(cls, edits: tuple[AffineEdit, ...], prompt: Prompt, sae: SAE, sink_norm: float) -> Self | None:
        """None when there is nothing to edit."""
        if not edits:
            return None
        features = list(dict.fromkeys(edit.feature for edit in edits))
        rows = EditRows.gather(sae, features)
        return cls(edits, prompt, sink_norm, features, rows, [EditReport() for _ in edits])

    def maps(self, start: int, stop: int) -> tuple[Tensor, Tensor, Tensor]:
        """Composed `mul` and `add` `[pos, edited features]` and `covered` `[pos, edits]` of positions."""
        mul = torch.ones(stop - start, len(self.features))
        add = torch.zeros(stop - start, len(self.features))
        covered = torch.tensor([edit.covers(self.prompt, start, stop) for edit in self.edits]).T
        for column, edit in enumerate(self.edits):
            here, of = covered[:, column], self.features.index(edit.feature)
            mul[:, of] = torch.where(here, edit.mul * mul[:, of], mul[:, of])
            add[:, of] = torch.where(here, edit.mul * add[:, of] + edit.add, add[:, of])
        return mul, add, covered

    def apply(self, x: Tensor, start: int, *, report: bool = True) -> Tensor:
        """Steer the residual stream `[1, pos, d_model]` of positions from `start`; sinks stay as they are."""
        mul, add, covered = (t.to(x.device) for t in self.maps(start, start + x.shape[1]))
        editable = ~is_sink(x[0], self.sink_norm)[:, None]
        steered, h = apply_edits(
            x[0], self.rows, torch.where(editable, mul, 1), torch.where(editable, add, 0)
        )
        if report:
            self._record(h, covered & editable)
        return steered[None]

    def _record(self, h: Tensor, edited: Tensor) -> None:
        for column, (edit, report) in enumerate(zip(self.edits, self.reports, strict=True)):
            report.tokens_edited += int(edited[:, column].sum())
            acts = h[:, self.features.index(edit.feature)]
            report.activation_sum += float(acts[edited[:, column]].sum())
