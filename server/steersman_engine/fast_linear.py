"""Linear layers that read fewer bytes: on a CPU, reading the weights is what a step of decoding costs.

float16 storage with float32 arithmetic (FBGEMM) halves those bytes. Weights published in bfloat16 or
float16, as nearly all are, survive the change as well as float32 sums would tell: `fits_half` says
which.

Shapes: `rows` tokens, `d_in`, `d_out`.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Linear = Callable[[Tensor], Tensor]
"""`[rows, d_in]` to `[rows, d_out]`, contiguous."""


def fuse(layers: Sequence[nn.Linear]) -> Linear:
    """One layer that gives the outputs of several side by side, stored as small as it may be.

    float32 layers on a CPU are packed. Others are put into one matrix, and their weights become views
    of it, so that nothing is stored twice.
    """
    weights: list[Tensor] = [layer.weight.detach() for layer in layers]
    weight = torch.cat(weights) if len(weights) > 1 else weights[0]
    biases: list[Tensor] = [layer.bias for layer in layers if layer.bias is not None]
    if len(biases) not in (0, len(layers)):
        raise ValueError("Some of these layers have a bias and some have none.")
    bias = torch.cat(biases) if biases else None
    if can_pack() and fits_half(weight):
        return _half(weight, bias)
    if len(layers) > 1:
        for layer, part in zip(layers, weight.split([len(part) for part in weights]), strict=True):
            layer.weight.data = part
    return lambda x: F.linear(x, weight, bias)


def can_pack() -> bool:
    """Whether this PyTorch multiplies float32 by packed float16 (FBGEMM: x86 with AVX2 and later)."""
    return "fbgemm" in torch.backends.quantized.supported_engines and hasattr(
        torch.ops.quantized, "linear_prepack_fp16"
    )


def fits_half(weight: Tensor) -> bool:
    """Whether rounding float32 weights to float16 is lost in float32 arithmetic.

    That is, no weight moves by more than the spacing of float32 numbers at the largest of them. True
    for bfloat16 weights up to 65,504: float16 has three more bits of precision, and only numbers
    below 8e-6 lose any.
    """
    if weight.dtype != torch.float32 or weight.device.type != "cpu":
        return False
    largest = weight.abs().amax()
    if not largest <= torch.finfo(torch.float16).max:
        return False
    moved = (weight.half().float() - weight).abs().amax()
    return bool(moved <= torch.finfo(torch.float32).eps * largest)


def _half(weight: Tensor, bias: Tensor | None) -> Linear:
    packed = torch.ops.quantized.linear_prepack_fp16(weight, bias)
    multiply = torch.ops.quantized.linear_dynamic_fp16.default
    return lambda x: multiply(x, packed)
