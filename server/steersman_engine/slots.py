"""Which slot holds which sequence, and what of it another sequence may reuse.

A slot keeps its contents after its answer ends: they are the prefix cache. Two positions are
interchangeable above the tap when all tokens up to them are the same and the same was done to each at
the tap: so each position has a token and a *key*, a hash of the edits that act there (0 for none). Up
to the tap the tokens alone decide, whatever the edits: many edits of one prompt share that work.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steersman_engine.kv import KVCache

MIN_SHARED = 16
"""A shorter common beginning is not worth waiting for."""


@dataclass(slots=True)
class Slot:
    """One sequence in memory."""

    tokens: NDArray[np.int64]
    """Those computed, and those planned behind them."""
    keys: NDArray[np.uint64]
    length: int = 0
    """Of `tokens` and `keys`."""
    lower: int = 0
    """Positions whose keys and values up to the tap are there."""
    upper: int = 0
    """Positions whose keys and values above it are there too; never more than `lower`."""
    owner: object | None = None
    """Who writes here; None while the slot is free."""
    used: int = 0
    """When it was last freed, in order."""


class Slots:
    """The slots of one cache."""

    def __init__(self, cache: KVCache) -> None:
        self.cache = cache
        self._slots = [
            Slot(np.zeros(cache.positions, np.int64), np.zeros(cache.positions, np.uint64))
            for _ in range(cache.num_slots)
        ]
        self._clock = 0

    def __getitem__(self, index: int) -> Slot:
        return self._slots[index]

    def __len__(self) -> int:
        return len(self._slots)

    @property
    def num_used(self) -> int:
        """Slots that have an owner."""
        return sum(slot.owner is not None for slot in self._slots)

    def acquire(self, owner: object, tokens: NDArray[np.int64], keys: NDArray[np.uint64]) -> int | None:
        """Give a sequence a slot, with what that slot already holds of it; None when all are taken.

        It continues a free slot that it has at least half of; else it takes the one unused for longest.
        """
        free = [index for index, slot in enumerate(self._slots) if slot.owner is None]
        if not free:
            return None
        shared = {index: _common(self._slots[index], tokens, keys) for index in free}
        index = max(free, key=lambda i: shared[i][0])
        if 2 * shared[index][0] < self._slots[index].lower or shared[index][0] == 0:
            index = min(free, key=lambda i: (self._slots[i].lower > 0, self._slots[i].used))
        slot, (lower, upper) = self._slots[index], shared[index]
        last = len(tokens) - 1  # it has to be read anew, for its logits
        slot.tokens[: len(tokens)], slot.keys[: len(keys)] = tokens, keys
        slot.length = len(tokens)
        slot.lower, slot.upper = min(lower, last), min(upper, last)
        slot.owner = owner
        return index

    def release(self, index: int) -> None:
        """Free a slot; what it holds may be reused."""
        slot = self._slots[index]
        self._clock += 1
        slot.owner, slot.used, slot.length = None, self._clock, slot.lower

    def forget(self, index: int) -> None:
        """Say that nothing in this slot is to be trusted."""
        slot = self._slots[index]
        slot.lower = slot.upper = 0

    def append(self, index: int, token: int, key: int) -> None:
        """Plan one more token."""
        slot = self._slots[index]
        slot.tokens[slot.length], slot.keys[slot.length] = token, key
        slot.length += 1

    def catch_up(self, index: int) -> None:
        """Copy from other slots what they have of this slot's sequence, all but its last token."""
        slot = self._slots[index]
        tokens, keys = slot.tokens[: slot.length], slot.keys[: slot.length]
        for other_index, other in enumerate(self._slots):
            if other is slot or other.lower <= slot.upper:
                continue
            lower, upper = (min(shared, slot.length - 1) for shared in _common(other, tokens, keys))
            if lower > slot.lower:
                self.cache.copy_lower(other_index, index, slot.lower, lower)
                slot.lower = lower
            if upper > slot.upper:
                self.cache.copy_upper(other_index, index, slot.upper, upper)
                slot.upper = upper

    def worth_waiting_for(self, index: int, ahead: int) -> bool:
        """Whether the sequence in slot `ahead`, once computed, spares this one work."""
        slot, other = self._slots[index], self._slots[ahead]
        tokens, keys = slot.tokens[: slot.length - 1], slot.keys[: slot.length - 1]
        lower, upper = _common(other, tokens, keys, planned=True)
        return lower >= slot.lower + MIN_SHARED or upper >= slot.upper + MIN_SHARED


def _common(
    slot: Slot, tokens: NDArray[np.int64], keys: NDArray[np.uint64], *, planned: bool = False
) -> tuple[int, int]:
    """How much of a sequence a slot holds: up to the tap, and above it."""
    size = min(slot.length if planned else slot.lower, len(tokens))
    same = slot.tokens[:size] == tokens[:size]
    lower = _leading(same)
    upper = _leading(same & (slot.keys[:size] == keys[:size]))
    return (lower, upper) if planned else (lower, min(upper, slot.upper))


def _leading(same: NDArray[np.bool_]) -> int:
    """How many of the first are True."""
    return len(same) if same.all() else int(same.argmin())
