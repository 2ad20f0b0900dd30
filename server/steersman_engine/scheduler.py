"""Which tokens are computed in the next step.

First come, first served. Every stream that is writing its answer advances by one token in every step;
what is left of the step's budget reads prompts, the oldest first, a chunk at a time. So a long prompt
slows the running streams by at most a chunk a step, and stalls none. Nothing is ever preempted: a
stream is admitted when there is a slot, and a slot has room for the longest sequence.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from steersman_engine.slots import Slots
from steersman_engine.stream import Stream


@dataclass(frozen=True, slots=True)
class Work:
    """Positions of one stream to compute in one step, in three stretches.

    `observed` … `upper`: reused whole; only reports and abort conditions look at their tap residuals.
    `upper` … `lower`: known up to the tap; steered and taken through the blocks above.
    `lower` … `stop`: new.
    """

    stream: Stream
    observed: int
    upper: int
    lower: int
    stop: int

    @property
    def is_last(self) -> bool:
        """Nothing of the stream remains to be read."""
        return self.stop == len(self.stream.tokens)


class Scheduler:
    """The streams that wait and those that run."""

    def __init__(self, slots: Slots, *, chunk_beside: int, chunk_alone: int) -> None:
        self.slots = slots
        self.waiting: deque[Stream] = deque()
        self.running: list[Stream] = []
        """In the order of their arrival."""
        self._chunk_beside, self._chunk_alone = chunk_beside, chunk_alone

    def admit(self) -> list[Stream]:
        """Give slots to those who wait, as far as there are any; whom it gave one."""
        admitted = []
        while self.waiting:
            stream = self.waiting[0]
            stream.slot = self.slots.acquire(stream, np.array(stream.tokens, np.int64), stream.prompt_keys)
            if stream.slot is None:
                break
            admitted.append(self.waiting.popleft())
        self.running += admitted
        return admitted

    def leave(self, stream: Stream) -> None:
        """Free a stream's slot, or its place in the queue."""
        if stream.slot is None:
            self.waiting.remove(stream)
            return
        self.running.remove(stream)
        self.slots.release(stream.slot)
        stream.slot = None

    def plan(self) -> list[Work]:
        """The work of the next step, at most one entry a stream."""
        works = [self._work(stream, len(stream.tokens)) for stream in self.running if stream.num_answered]
        budget = self._chunk_beside if works else self._chunk_alone
        reading = [stream for stream in self.running if not stream.num_answered]
        for order, stream in enumerate(reading):
            if budget == 0:
                break
            assert stream.slot is not None
            self.slots.catch_up(stream.slot)
            ahead = [other.slot for other in reading[:order] if other.slot is not None]
            if any(self.slots.worth_waiting_for(stream.slot, other) for other in ahead):
                continue
            begun = self.slots[stream.slot].upper
            stop = min(begun + budget, len(stream.tokens))
            budget -= stop - begun
            works.append(self._work(stream, stop))
        return works

    def _work(self, stream: Stream, stop: int) -> Work:
        assert stream.slot is not None
        slot = self.slots[stream.slot]
        return Work(stream, stream.observed, slot.upper, min(slot.lower, stop), stop)
