"""What stands between the matrix products of a block, each as one call, compiled.

A decoding step reads every weight, so it leaves little else in the processor's caches, and whatever is
called in between is slow as if it were called for the first time: PyTorch's small calls take some ten
times what they do alone, and even the conversion of a tensor to an array is felt. So these are few,
are given addresses, and write to memory that is there already. Numba compiles them for the machine at
hand and keeps the result on disk. They are for float32 on a CPU and one thread; a token's result does
not depend on who else is in the batch. `fast_pass.py` has PyTorch's own calls for all else.

All tensors are float32, contiguous, on the CPU; slots and positions int64. Nothing checks that again.

Shapes: `tokens` of the batch, `heads` of queries, `kv_heads`, `head_dim`, `d_model`, `d_ff`; `slots`
and `positions` of the key-value cache.
"""

import logging
from collections.abc import Callable
from typing import Any

import numba
import numpy as np
import torch
from numba import carray  # pyright: ignore[reportPrivateImportUsage]
from numba.core import cgutils, types
from numba.extending import intrinsic
from torch import Tensor

log = logging.getLogger(__name__)
f32 = np.float32

# sums in any order and fused products, as any matrix library does; NaN and infinity stay what they are
OPTIONS: dict[str, Any] = {
    "fastmath": {"contract", "reassoc", "nsz"},
    "error_model": "numpy",
    "nogil": True,
    "boundscheck": False,
}


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, compiled for the types it is called with, and kept on disk where one may write."""
    try:
        return numba.njit(function, cache=True, **OPTIONS)
    except RuntimeError as error:  # neither beside this file nor in the user's folder for such
        log.info("Compiled kernels are not kept, so every start takes seconds longer: %s", error)
        return numba.njit(function, **OPTIONS)


def rms_norm(x: Tensor, weight: Tensor, eps: float, out: Tensor) -> None:
    """RMSNorm (Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4) of `x` `[tokens, d_model]`, to `out`."""
    tokens, width = x.shape
    _rms_norm(tokens, width, x.data_ptr(), weight.data_ptr(), eps, out.data_ptr())


def add_rms_norm(x: Tensor, to: Tensor, weight: Tensor, eps: float, out: Tensor) -> None:
    """Add `x` to `to` in place, both `[tokens, d_model]`; RMSNorm of the sum to `out`."""
    tokens, width = x.shape
    _add_rms_norm(tokens, width, x.data_ptr(), to.data_ptr(), weight.data_ptr(), eps, out.data_ptr())


def silu_gated(x: Tensor, out: Tensor) -> None:
    """`silu(gate) · up` (Shazeer 2020, arXiv:2002.05202, SwiGLU) of both side by side, to `out`.

    `x` `[tokens, 2 · d_ff]`, `out` `[tokens, d_ff]`.
    """
    tokens, width = out.shape
    _silu_gated(tokens, width, x.data_ptr(), out.data_ptr())


class Attention:
    """Rotation, keys and values, and attention of one batch.

    `cos` and `sin` `[tokens, head_dim]`; `slots` and `positions` `[tokens]`, where the tokens are.
    """

    def __init__(
        self, heads: int, scale: float, cos: Tensor, sin: Tensor, slots: Tensor, positions: Tensor
    ) -> None:
        self._held = [part.contiguous() for part in (cos, sin, slots, positions)]  # else others may lie there
        self._cos, self._sin, self._slots, self._positions = (part.data_ptr() for part in self._held)
        self._heads, self._scale = heads, scale

    def rotate_and_store(self, x: Tensor, keys: Tensor, values: Tensor) -> None:
        """Rotate queries and keys in place (Su et al. 2021, arXiv:2104.09864); fill the slots.

        `x` `[tokens, heads + 2 · kv_heads, head_dim]`: queries, keys, values. `keys` and `values`
        `[slots, kv_heads, positions, head_dim]`.
        """
        _rotate_and_store((len(x), self._heads, *keys.shape), self._addresses(x, keys, values))

    def __call__(self, x: Tensor, keys: Tensor, values: Tensor, out: Tensor) -> None:
        """The same, then what each token finds in its slot up to itself, to `[tokens, heads · head_dim]`."""
        shape, addresses = (len(x), self._heads, *keys.shape), self._addresses(x, keys, values)
        _attend(shape, addresses, self._scale, out.data_ptr())

    def _addresses(self, x: Tensor, keys: Tensor, values: Tensor) -> tuple[int, ...]:
        here = x.data_ptr(), keys.data_ptr(), values.data_ptr()
        return *here, self._cos, self._sin, self._slots, self._positions


def compile_all() -> None:
    """Compile what is not on disk yet, by calling everything once.

    Raises:
        Exception: What Numba raises where it cannot, such as OSError when the disk is full.
    """
    x, more, half = torch.zeros(1, 6), torch.zeros(1, 6), torch.zeros(1, 3)
    one, at = torch.ones(6), torch.tensor([0])
    rms_norm(x, one, 1e-5, more)
    add_rms_norm(x, more, one, 1e-5, torch.empty(1, 6))
    silu_gated(x, half)
    keys, values = torch.zeros(2, 1, 1, 1, 2)
    attention = Attention(1, 1.0, x[:, :2], x[:, 2:4], at, at)
    attention.rotate_and_store(x.view(1, 3, 2), keys, values)
    attention(x.view(1, 3, 2), keys, values, torch.empty(1, 2))


@intrinsic
def _pointer(typing_context: Any, address: Any) -> Any:
    """An integer as an address."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), code


@_compiled
def _floats(address, shape):
    return carray(_pointer(address), shape, np.float32)  # pyright: ignore[reportCallIssue]


@_compiled
def _ints(address, shape):
    return carray(_pointer(address), shape, np.int64)  # pyright: ignore[reportCallIssue]


@_compiled
def _exp(x: np.float32) -> np.float32:
    """e^x to two units in the last place, of x within ±87 (others count as these); NaN of NaN.

    Cody and Waite's reduction to |r| ≤ ½ ln 2 and Cephes' polynomial for single precision: plain
    arithmetic, which becomes vector instructions, as a call of the C library does not.
    """
    x = f32(-87.0) if x < f32(-87.0) else f32(87.0) if x > f32(87.0) else x
    n = np.floor((x if x == x else f32(0.0)) * f32(1.44269504) + f32(0.5))
    r = x - n * f32(0.693359375) + n * f32(2.12194440e-4)
    p = f32(1.9875691500e-4) * r + f32(1.3981999507e-3)
    p = p * r + f32(8.3334519073e-3)
    p = p * r + f32(4.1665795894e-2)
    p = p * r + f32(1.6666665459e-1)
    p = p * r + f32(5.0000001201e-1)
    two_to_n = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
    return (p * r * r + r + f32(1.0)) * two_to_n


@_compiled
def _norm_row(x, weight, eps, out):
    squares = f32(0.0)
    for d in range(len(x)):
        squares += x[d] * x[d]
    scale = f32(1.0) / np.sqrt(squares / f32(len(x)) + f32(eps))
    for d in range(len(x)):
        out[d] = x[d] * scale * weight[d]


@_compiled
def _rms_norm(tokens, width, x_at, weight_at, eps, out_at):
    x, out = _floats(x_at, (tokens, width)), _floats(out_at, (tokens, width))
    weight = _floats(weight_at, (width,))
    for t in range(tokens):
        _norm_row(x[t], weight, eps, out[t])


@_compiled
def _add_rms_norm(tokens, width, x_at, to_at, weight_at, eps, out_at):
    x, to = _floats(x_at, (tokens, width)), _floats(to_at, (tokens, width))
    out = _floats(out_at, (tokens, width))
    weight = _floats(weight_at, (width,))
    for t in range(tokens):
        for d in range(width):
            to[t, d] += x[t, d]
        _norm_row(to[t], weight, eps, out[t])


@_compiled
def _silu_gated(tokens, width, x_at, out_at):
    x, out = _floats(x_at, (tokens, 2 * width)), _floats(out_at, (tokens, width))
    for t in range(tokens):
        for d in range(width):
            gate = x[t, d]
            out[t, d] = gate / (f32(1.0) + _exp(-gate)) * x[t, width + d]


@_compiled
def _views(shape, at):
    """What lies at the addresses of `Attention._addresses`."""
    tokens, heads, num_slots, kv_heads, room, head_dim = shape
    x_at, keys_at, values_at, cos_at, sin_at, slots_at, positions_at = at
    x = _floats(x_at, (tokens, heads + 2 * kv_heads, head_dim))
    keys = _floats(keys_at, (num_slots, kv_heads, room, head_dim))
    values = _floats(values_at, (num_slots, kv_heads, room, head_dim))
    cos, sin = _floats(cos_at, (tokens, head_dim)), _floats(sin_at, (tokens, head_dim))
    return x, keys, values, cos, sin, _ints(slots_at, (tokens,)), _ints(positions_at, (tokens,))


@_compiled
def _rotate_and_store(shape, at):
    tokens, heads, _, kv_heads, _, head_dim = shape
    x, keys, values, cos, sin, slots, positions = _views(shape, at)
    half = head_dim // 2
    for t in range(tokens):
        slot, position = slots[t], positions[t]
        for h in range(heads + kv_heads):
            for d in range(half):
                first, second = x[t, h, d], x[t, h, half + d]
                x[t, h, d] = first * cos[t, d] - second * sin[t, d]
                x[t, h, half + d] = second * cos[t, half + d] + first * sin[t, half + d]
        for h in range(kv_heads):
            for d in range(head_dim):
                keys[slot, h, position, d] = x[t, heads + h, d]
                values[slot, h, position, d] = x[t, heads + kv_heads + h, d]


@_compiled
def _attend(shape, at, scale, out_at):
    _rotate_and_store(shape, at)
    tokens, heads, _, kv_heads, _, head_dim = shape
    x, keys, values, _, _, slots, positions = _views(shape, at)
    out = _floats(out_at, (tokens, heads, head_dim))
    weights = np.empty(positions.max() + 1, np.float32)
    for t in range(tokens):
        seen = positions[t] + 1
        for h in range(heads):
            kv_head = h // (heads // kv_heads)
            key, value = keys[slots[t], kv_head, :seen], values[slots[t], kv_head, :seen]
            _attend_head(x[t, h], key, value, f32(scale), weights, out[t, h])


@_compiled
def _attend_head(query, keys, values, scale, weights, out):
    seen, head_dim = keys.shape
    fours = seen - seen % 4  # four keys at a time: a query is read once for them
    for j in range(0, fours, 4):
        a, b, c, e = f32(0.0), f32(0.0), f32(0.0), f32(0.0)
        for d in range(head_dim):
            a += query[d] * keys[j, d]
            b += query[d] * keys[j + 1, d]
            c += query[d] * keys[j + 2, d]
            e += query[d] * keys[j + 3, d]
        weights[j], weights[j + 1], weights[j + 2], weights[j + 3] = a, b, c, e
    for j in range(fours, seen):
        a = f32(0.0)
        for d in range(head_dim):
            a += query[d] * keys[j, d]
        weights[j] = a
    largest = weights[0]
    for j in range(seen):
        largest = max(largest, weights[j])
    total = f32(0.0)
    for j in range(seen):
        weights[j] = _exp((weights[j] - largest) * scale)
        total += weights[j]
    out[:] = f32(0.0)
    for j in range(0, fours, 4):
        a, b, c, e = weights[j], weights[j + 1], weights[j + 2], weights[j + 3]
        for d in range(head_dim):
            low = a * values[j, d] + b * values[j + 1, d]
            out[d] += low + (c * values[j + 2, d] + e * values[j + 3, d])
    for j in range(fours, seen):
        for d in range(head_dim):
            out[d] += weights[j] * values[j, d]
    for d in range(head_dim):
        out[d] /= total
