"""What an edit does to the residual stream.

    x̃ = x + Σ_f (h̃_f − h_f) W_dec[f],      h̃ = mul · h + add

Only the edited features' rows are touched, so the SAE's error term x − x̂ stays as it is and a token
costs O(edits · d_model). Several edits of one feature compose in the order given. `steering.py` puts
the edits of many requests into one such step.

Shapes: `...` any leading dims, `d_model` the width of the residual stream, `edits` the edited features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from steersman import FeatureEdit
from steersman_engine.conditions import Condition
from steersman_engine.prompt import ROLES, Prompt
from steersman_engine.sae import SAE, jump_relu

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

    @property
    def is_probe(self) -> bool:
        """Whether it changes nothing, and is there for its report."""
        return (self.mul, self.add) == (1.0, 0.0)

    @property
    def lowers(self) -> bool:
        """Whether no activation is higher after it, whatever other such edits do."""
        return self.mul <= 1 and self.add <= 0

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


def apply_edits(x: Tensor, rows: EditRows, h: Tensor, mul: Tensor, add: Tensor) -> Tensor:
    """The steered residual stream `[..., d_model]`.

    `h` are the activations of the rows' features in `x`; `h`, `mul` and `add` are `[..., edits]`; a
    feature with (1, 0) stays as it is. Sums are at least in float32 and rounded to `x`'s dtype once.
    """
    change = (mul - 1) * h + add
    wide = torch.promote_types(x.dtype, torch.float32)
    return (x.to(wide) + change @ rows.W_dec).to(x.dtype)


@dataclass(slots=True)
class EditReport:
    """What one edit did: tokens it changed, and its feature's mean activation there before."""

    tokens_edited: int = 0
    activation_sum: float = 0.0

    @property
    def mean_activation_before(self) -> float:
        """0 when no token was edited; to six digits, since the last of float32 vary with the batch."""
        return float(f"{self.activation_sum / self.tokens_edited:.6g}") if self.tokens_edited else 0.0
