"""A sparse autoencoder in its canonical form, as it is served, whatever trained it.

Shapes: `...` any leading dims, `d_in` the width of the model's residual stream, `d_sae` the
number of features.

    f = act(x W_enc + b_enc)      act keeps what is above the feature's threshold
    x̂ = f W_dec + b_dec

`x` is the raw residual stream, every normalisation folded in; decoder rows have unit norm, so one
unit of `f` is one unit of residual length.
"""

from pathlib import Path
from typing import Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

UNIT_NORM_TOLERANCE = 1e-2


class SAE(nn.Module):
    """JumpReLU sparse autoencoder (Rajamanoharan et al. 2024, arXiv:2407.14435); ReLU at threshold 0.

    Raises:
        ValueError: Shapes do not fit, a threshold is negative, or a decoder row is not of unit norm.
    """

    W_enc: Tensor  # [d_in, d_sae]
    b_enc: Tensor  # [d_sae]
    W_dec: Tensor  # [d_sae, d_in]
    b_dec: Tensor  # [d_in]
    threshold: Tensor  # [d_sae]
    decoder_norm: Tensor | None  # [d_sae], where known: what canonical activations are, times the source's

    def __init__(
        self,
        *,
        W_enc: Tensor,
        b_enc: Tensor,
        W_dec: Tensor,
        b_dec: Tensor,
        threshold: Tensor,
        decoder_norm: Tensor | None = None,
    ) -> None:
        super().__init__()
        if W_enc.dim() != 2 or not W_enc.numel():
            raise ValueError(f"W_enc is {list(W_enc.shape)}, not [d_in, d_sae].")
        d_in, d_sae = W_enc.shape
        expected = {"b_enc": (d_sae,), "W_dec": (d_sae, d_in), "b_dec": (d_in,), "threshold": (d_sae,)}
        tensors = {"b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec, "threshold": threshold}
        if decoder_norm is not None:
            expected["decoder_norm"], tensors["decoder_norm"] = (d_sae,), decoder_norm
        for name, shape in expected.items():
            if tuple(tensors[name].shape) != shape:
                raise ValueError(f"{name} is {list(tensors[name].shape)}, not {list(shape)}.")
        for name, tensor in {"W_enc": W_enc, **tensors}.items():
            if not tensor.is_floating_point() or not tensor.isfinite().all():
                raise ValueError(f"{name} ({tensor.dtype}) holds something that is no finite number.")
        if (threshold < 0).any():
            raise ValueError("A threshold is negative: activations are never below zero.")
        off = (W_dec.float().norm(dim=-1) - 1).abs().max().item()
        if not off < UNIT_NORM_TOLERANCE:
            raise ValueError(
                f"A decoder row's norm is off 1 by {off:.3g}. Fold decoder norms with SAE.canonical."
            )
        for name, tensor in {"W_enc": W_enc, **tensors}.items():
            self.register_buffer(name, tensor)
        if decoder_norm is None:
            self.register_buffer("decoder_norm", None)

    @classmethod
    def canonical(
        cls,
        *,
        W_enc: Tensor,
        b_enc: Tensor,
        W_dec: Tensor,
        b_dec: Tensor,
        threshold: Tensor | None = None,
        input_scale: float = 1.0,
        subtract_b_dec: bool = False,
    ) -> Self:
        """The canonical form of an SAE that reads `input_scale * x` and has decoder rows of any length.

        With `subtract_b_dec` its encoder reads `input_scale * x - b_dec`. Reconstructions are those
        of the source in raw units; activations become lengths in the residual stream, `decoder_norm`
        times the source's.

        Raises:
            ValueError: A decoder row is zero.
        """
        W_enc, b_enc, W_dec, b_dec = (t.double() for t in (W_enc, b_enc, W_dec, b_dec))
        threshold = torch.zeros_like(b_enc) if threshold is None else threshold.double()
        if subtract_b_dec:
            b_enc = b_enc - b_dec @ W_enc
        norm = W_dec.norm(dim=-1)
        if (norm == 0).any():
            raise ValueError(f"Decoder row {int((norm == 0).nonzero()[0])} is zero: it steers nothing.")
        length = norm / input_scale  # residual length that one unit of the source's activation adds
        return cls(
            W_enc=(W_enc * input_scale * length).float(),
            b_enc=(b_enc * length).float(),
            W_dec=(W_dec / norm[:, None]).float(),
            b_dec=(b_dec / input_scale).float(),
            threshold=(threshold * length).float(),
            decoder_norm=length.float(),
        )

    @property
    def d_in(self) -> int:
        """Width of the residual stream."""
        return self.W_enc.shape[0]

    @property
    def d_sae(self) -> int:
        """Number of features."""
        return self.W_enc.shape[1]

    def encode(self, x: Tensor) -> Tensor:
        """Feature activations of `x`: `[..., d_in]` to `[..., d_sae]`, zero where not active."""
        return jump_relu(x.to(self.W_enc.dtype) @ self.W_enc + self.b_enc, self.threshold)

    def decode(self, feature_acts: Tensor) -> Tensor:
        """The reconstruction: `[..., d_sae]` to `[..., d_in]`."""
        return feature_acts @ self.W_dec + self.b_dec

    def forward(self, x: Tensor) -> Tensor:
        """`decode(encode(x))`."""
        return self.decode(self.encode(x))

    def save(self, path: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write a safetensors file; `dtype` is that of the two matrices."""
        tensors = {name: buffer.float() for name, buffer in self.named_buffers()}
        for name in ("W_enc", "W_dec"):
            tensors[name] = tensors[name].to(dtype)
        save_file({name: t.contiguous().cpu() for name, t in tensors.items()}, path)

    @classmethod
    def load(cls, path: Path, device: torch.device | str = "cpu") -> Self:
        """Read what `save` wrote, as float32.

        Raises:
            ValueError: The file is damaged, lacks a tensor, or holds another one.
        """
        wanted = {"W_enc", "b_enc", "W_dec", "b_dec", "threshold"}
        tensors = read_tensors(path, device)
        if tensors.keys() - {"decoder_norm"} != wanted:
            raise ValueError(f"{path} holds {sorted(tensors)}, not {sorted(wanted)}.")
        try:
            return cls(**{name: as_float(tensor, name) for name, tensor in tensors.items()})
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def read_tensors(path: Path, device: torch.device | str = "cpu") -> dict[str, Tensor]:
    """All tensors of a safetensors file. It holds nothing that could run, and no more than its size.

    Raises:
        ValueError: It is damaged, or no such file.
        OSError: It cannot be read.
    """
    try:
        return load_file(path, device=str(device))
    except SafetensorError as error:
        raise ValueError(f"{path} is no whole safetensors file: {error}.") from error


def as_float(tensor: Tensor, name: str) -> Tensor:
    """The tensor in float32.

    Raises:
        ValueError: It is of whole numbers.
    """
    if not tensor.is_floating_point():
        raise ValueError(f"{name} is of {tensor.dtype}, not of floating-point numbers.")
    return tensor.float()


def jump_relu(pre: Tensor, threshold: Tensor) -> Tensor:
    """`pre` where it is above `threshold` (and so above zero), else 0."""
    return torch.where(pre > threshold, pre, 0)
