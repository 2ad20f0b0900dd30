"""An SAE from another library, on its way to canonical form."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from steersman_engine.sae import SAE, read_tensors


class FormatError(ValueError):
    """A file is not what its format says, or holds what the canonical form cannot."""


@dataclass(frozen=True, kw_only=True)
class Foreign:
    """`f = act(x W_enc + b_enc)`, `x̂ = f W_dec + b_dec`, as some library has it.

    Shapes: `W_enc` `[d_in, d_sae]`, `W_dec` `[d_sae, d_in]`.
    """

    W_enc: Tensor
    b_enc: Tensor
    W_dec: Tensor
    b_dec: Tensor
    architecture: str
    """What the library calls it."""
    threshold: Tensor | None = None
    """Of each feature; none is ReLU."""
    k: int | None = None
    """Only the k largest activations of a token, or of a batch on average, are kept."""
    subtract_b_dec: bool = False
    """The encoder reads `x − b_dec`."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What else the file says: model, site, data."""

    @property
    def d_in(self) -> int:
        """Width of the residual stream."""
        return self.W_enc.shape[0]

    def canonical(self, sample: Tensor | None = None) -> SAE:
        """The canonical form.

        One that keeps the k largest gets the threshold at which k are active on average on the
        `sample` `[tokens, d_in]`, residuals of its own model and layer.

        Raises:
            FormatError: It keeps the k largest and there is no sample, or a feature's row is zero.
        """
        if self.k is not None and sample is None:
            raise FormatError(
                f"This SAE keeps the {self.k} largest activations ({self.architecture}): no threshold in"
                " the file stands for that. Pass a harvest of its model and layer (--harvest): the threshold"
                f" at which {self.k} are active on average is then measured."
            )
        try:
            sae = SAE.canonical(
                W_enc=self.W_enc,
                b_enc=self.b_enc,
                W_dec=self.W_dec,
                b_dec=self.b_dec,
                threshold=self.threshold,
                subtract_b_dec=self.subtract_b_dec,
            )
        except ValueError as error:
            raise FormatError(str(error)) from error
        if self.k is None:
            return sae
        assert sample is not None
        if sample.shape[1] != self.d_in:
            raise FormatError(f"The harvest has {sample.shape[1]} dimensions, the SAE reads {self.d_in}.")
        # in the source's own units, in which it compares activations
        length = self.W_dec.double().norm(dim=-1).float()
        cut = threshold_for(sae.encode(sample.float()) / length, self.k)
        sae.threshold = cut * length
        return sae


def threshold_for(feature_acts: Tensor, k: int) -> Tensor:
    """The scalar above which `k` of `feature_acts` `[tokens, d_sae]` a token are, on average."""
    flat = feature_acts.flatten()
    kept = min(k * len(feature_acts), int((flat > 0).sum()))
    largest = flat.topk(min(kept + 1, len(flat)), sorted=True).values
    return largest[-1] if kept else torch.zeros(())


def take(tensors: Mapping[str, Tensor], names: tuple[str, ...], where: str) -> list[Tensor]:
    """The named tensors.

    Raises:
        FormatError: One is missing.
    """
    missing = [name for name in names if name not in tensors]
    if missing:
        raise FormatError(f"{where} lacks {', '.join(missing)}; it holds {', '.join(sorted(tensors))}.")
    found = [tensors[name] for name in names]
    for name, tensor in zip(names, found, strict=True):
        if not (isinstance(tensor, Tensor) and tensor.is_floating_point() and tensor.isfinite().all()):
            raise FormatError(f"{where}: {name} is no tensor of finite floating-point numbers.")
    return [tensor.float() for tensor in found]


def load_tensors(path: Path) -> dict[str, Tensor]:
    """What a safetensors file holds.

    Raises:
        FormatError: It is damaged.
    """
    try:
        return read_tensors(path)
    except ValueError as error:
        raise FormatError(str(error)) from error


def unpickle_tensors(path: Path) -> dict[str, Tensor]:
    """What a file of torch's holds: tensors by name, and nothing that could run.

    Raises:
        FormatError: It holds something else, or is damaged.
    """
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch raises whatever its parts do
        raise FormatError(
            f"{path} is damaged, or holds more than tensors and is not opened: it could run code"
            f" ({type(error).__name__})."
        ) from error
    if not isinstance(found, dict):
        raise FormatError(f"{path} holds a {type(found).__name__}, not tensors by name.")
    return found


def config_of(path: Path) -> dict[str, Any]:
    """A JSON object.

    Raises:
        FormatError: The file holds something else.
    """
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError(f"{path} is no JSON: {error}.") from error
    if not isinstance(found, dict):
        raise FormatError(f"{path} holds no JSON object.")
    return found


def whole(config: Mapping[str, Any], name: str, path: Path) -> int:
    """A number of features that a configuration gives.

    Raises:
        FormatError: It gives none.
    """
    value = config.get(name)
    if not isinstance(value, int | float) or not 1 <= value <= 2**31:
        raise FormatError(f"{path}: {name} is {value!r}, not a number of features.")
    return round(value)


def ungated(W_enc: Tensor, gate: Tensor, r_mag: Tensor, b_mag: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """`W_enc`, `b_enc` and threshold of the JumpReLU that a gated SAE is.

    With `u = x W_enc` the gate `u + gate > 0` is open where the magnitude `e^r u + b_mag` is above
    `b_mag − e^r gate` (Rajamanoharan et al. 2024, arXiv:2404.16014, appendix).
    """
    scale = r_mag.double().exp()
    threshold = (b_mag.double() - scale * gate.double()).clamp(min=0)
    return W_enc.double() * scale, b_mag.double(), threshold
