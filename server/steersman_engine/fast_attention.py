"""Attention of a packed batch over slots, with few calls.

Tokens that are alone in their span (the streams that write) go through one call together, as long as
reading the shorter sequences up to the longest costs less than calls of their own would. Spans of
several tokens (prompts) are read in blocks of queries.

Shapes: `tokens` of the batch, `heads`, `kv_heads`, `group` heads that share a key head, `head_dim`;
`rows` of the slots that the joint call reads, `longest` of their sequences.
"""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from steersman_engine.causal_attention import causal_attention
from steersman_engine.forward import Batch, Span
from steersman_engine.kv import KVCache

CALL_POSITIONS = 96
"""What a call costs on top of its work, in cached positions that could be read in that time."""


class SlotAttention:
    """What all blocks need to know of one batch."""

    def __init__(self, batch: Batch, cache: KVCache, scale: float, tainted: AbstractSet[int]) -> None:
        self._cache, self._scale = cache, scale
        self._tokens = len(batch)
        single = [span for span in batch.spans if span.stop - span.start == 1]
        self._joint = _Joint(single, cache) if worth_joining(single, tainted) else None
        joined = {span.at for span in single} if self._joint is not None else ()
        self._alone = [span for span in batch.spans if span.at not in joined]

    def __call__(self, layer: int, query: Tensor) -> Tensor:
        """The values that `query` `[tokens, heads, head_dim]` finds, `[tokens, heads · head_dim]`."""
        keys, values = self._cache.keys[layer], self._cache.values[layer]
        if self._joint is not None and not self._alone:
            return self._joint.attend(query, keys, values, self._scale)
        out = query.new_empty(self._tokens, query.shape[1] * query.shape[2])
        if self._joint is not None:
            out[self._joint.tokens] = self._joint.attend(query, keys, values, self._scale)
        for span in self._alone:
            k, v = self._cache.read(layer, span.slot, span.stop)
            out[span.tokens] = _attend_span(query[span.tokens], k, v, self._scale)
        return out


class _Joint:
    """The tokens that are alone in their span, in one call."""

    def __init__(self, spans: Sequence[Span], cache: KVCache) -> None:
        device = cache.taps.device
        slots = [span.slot for span in spans]
        self._first, last = min(slots), max(slots)
        self._longest = max(span.stop for span in spans)
        num_rows = last - self._first + 1
        self.tokens = torch.tensor([span.at for span in spans], device=device)
        rows = [slot - self._first for slot in slots]
        self._rows = torch.tensor(rows, device=device)
        token_of_row = torch.zeros(num_rows, dtype=torch.long, device=device)
        token_of_row[self._rows] = self.tokens
        self._token_of_row = token_of_row
        lengths = torch.full((num_rows,), self._longest, device=device)
        lengths[self._rows] = torch.tensor([span.stop for span in spans], device=device)
        self._slots = slice(self._first, last + 1)
        self._mask = None
        if bool((lengths < self._longest).any()):
            hidden = torch.arange(self._longest, device=device) >= lengths[:, None]
            mask = torch.zeros(hidden.shape, dtype=cache.taps.dtype, device=device)
            self._mask = mask.masked_fill_(hidden, float("-inf"))[:, None, None]

    def attend(self, query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
        """As `SlotAttention` does, for these tokens alone."""
        keys, values = keys[self._slots, :, : self._longest], values[self._slots, :, : self._longest]
        num_rows, kv_heads, _, head_dim = keys.shape
        grouped = query[self._token_of_row].view(num_rows, kv_heads, -1, head_dim)
        if num_rows == 1:
            found = scaled_dot_product_attention(grouped, keys, values, scale=scale)
            return found.view(1, -1)
        scores = (grouped * scale) @ keys.mT
        if self._mask is not None:
            scores += self._mask
        return (scores.softmax(-1) @ values).view(num_rows, -1)[self._rows]


def worth_joining(spans: Sequence[Span], tainted: AbstractSet[int]) -> bool:
    """Whether one call over the slots between the lowest and the highest is cheaper than one for each.

    Never where a slot is tainted, that is, may hold numbers that are not finite: what is masked is
    still multiplied.
    """
    slots = {span.slot for span in spans}
    if not spans or len(slots) < len(spans):
        return False
    first, last = min(slots), max(slots)
    if not tainted.isdisjoint(range(first, last + 1)):
        return False
    joint = (last - first + 1) * max(span.stop for span in spans) + CALL_POSITIONS
    return joint <= sum(span.stop + CALL_POSITIONS for span in spans)


def _attend_span(query: Tensor, keys: Tensor, values: Tensor, scale: float) -> Tensor:
    """A slot's last queries, `[span, heads, head_dim]`; keys and values `[kv_heads, positions, head_dim]`."""
    found = causal_attention(query.transpose(0, 1)[None], keys[None], values[None], scale)
    return found[0].transpose(0, 1).reshape(len(query), -1)
