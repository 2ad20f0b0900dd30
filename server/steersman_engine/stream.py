"""One answer on its way: what has been computed for it, and how its events reach the caller."""

import asyncio
import secrets
import time
from collections import defaultdict
from contextvars import Context, copy_context
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from steersman_engine.edits import EditReport
from steersman_engine.engine import Abort, Finish, GenerateRequest, Timing, TokenEvent
from steersman_engine.sae import SAE
from steersman_engine.sampling import Sampler
from steersman_engine.steering import Observed, Steering


@dataclass(slots=True)
class Caller:
    """Where events go: a queue of the caller's event loop."""

    loop: asyncio.AbstractEventLoop
    events: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    gone: bool = False
    """Nobody reads any more."""
    context: Context = field(default_factory=copy_context)
    """What the log is told of the request runs in it, so that the line says whose it is."""


class Deliveries:
    """Events of one step, handed to each event loop in one call."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.AbstractEventLoop, list[tuple[Caller, Any]]] = defaultdict(list)

    def add(self, caller: Caller, event: Any) -> None:
        """Keep an event for the next `flush`."""
        self._waiting[caller.loop].append((caller, event))

    def flush(self) -> None:
        """Hand over what was added."""
        for loop, events in self._waiting.items():
            try:
                loop.call_soon_threadsafe(_put, events)
            except RuntimeError:  # the event loop is closed
                for caller, _ in events:
                    caller.gone = True
        self._waiting.clear()


def _put(events: list[tuple[Caller, Any]]) -> None:
    for caller, event in events:
        caller.events.put_nowait(event)


@dataclass(slots=True, eq=False)
class Stream:
    """A request under way; the engine's thread alone touches it, but for `caller`."""

    request: GenerateRequest
    caller: Caller
    arrived: float = field(default_factory=time.monotonic)
    begun: float = 0.0
    """When it got its slot."""
    chosen: float = 0.0
    """When its newest token was chosen."""
    tokens: list[int] = field(init=False)
    """Prompt and answer."""
    slot: int | None = None
    steering: Steering | None = None
    sampler: Sampler | None = None
    observed: int = 0
    """Positions that reports and abort conditions have seen."""
    num_computed: int = 0
    """Positions taken through every block."""
    num_half_computed: int = 0
    """Positions taken through the blocks above the tap alone."""
    reports: list[EditReport] = field(init=False)
    mask: tuple[int, Tensor | None] | None = None
    """The mask for the next token, and how long the answer was when it was made."""

    prompt_keys: NDArray[np.uint64] = field(init=False)
    """What is done at each position of the prompt, as `Slots` compares it."""
    answer_key: int = 0
    """What is done at each position of the answer."""

    def __post_init__(self) -> None:
        self.prompt_keys = np.zeros(len(self.request.prompt), np.uint64)
        self.tokens = list(self.request.prompt.token_ids)
        self.reports = [EditReport() for _ in self.request.edits]

    def prepare(self, sae: SAE, sink_norm: float, vocab: int, device: torch.device) -> None:
        """Gather what the request needs of the SAE. IndexError when it has no such feature."""
        request = self.request
        self.steering = Steering.of(request.edits, request.prompt, sae, sink_norm, request.abort_when)
        if self.steering is not None:
            self.prompt_keys, self.answer_key = self.steering.prompt_keys, self.steering.answer_key
        seed = secrets.randbits(63) if request.sampling.seed is None else request.sampling.seed
        self.sampler = Sampler.of(request.sampling, seed, request.prompt.token_ids, vocab, device)

    @property
    def is_prepared(self) -> bool:
        """`prepare` was called."""
        return self.sampler is not None

    @property
    def answer(self) -> list[int]:
        """The tokens chosen so far."""
        return self.tokens[len(self.request.prompt) :]

    @property
    def num_answered(self) -> int:
        """How many there are."""
        return len(self.tokens) - len(self.request.prompt)

    @property
    def complete(self) -> bool:
        """The answer has all its tokens; only the last one's features may still be wanted."""
        return self.num_answered == self.request.max_tokens

    @property
    def expired(self) -> bool:
        """The deadline has passed."""
        return self.request.deadline is not None and time.monotonic() >= self.request.deadline

    def allowed(self) -> Tensor | None:
        """What the request's mask allows next; asked once for each token."""
        if self.request.mask is None:
            return None
        if self.mask is None or self.mask[0] != self.num_answered:
            self.mask = (self.num_answered, self.request.mask.allowed(self.answer))
        return self.mask[1]

    @property
    def timing(self) -> Timing | None:
        """When it came how far; None but at the first token."""
        return Timing(self.arrived, self.begun, self.chosen) if self.num_answered == 1 else None

    def take(self, token_id: int, now: float) -> None:
        """One more token of the answer."""
        assert self.sampler is not None
        self.chosen = now
        self.tokens.append(token_id)
        self.sampler.took(token_id)

    def saw(self, stop: int, observed: list[Observed]) -> None:
        """Count what steering did up to position `stop`."""
        self.observed = stop
        for part in observed:
            for report, new in zip(self.reports, part.reports, strict=True):
                report.tokens_edited += new.tokens_edited
                report.activation_sum += new.activation_sum

    def event(self, **fields: Any) -> TokenEvent:
        """An event, with the reports as of now."""
        return TokenEvent(reports=[replace(report) for report in self.reports], **fields)

    def end(self, finish: Finish, *, abort: tuple[int, int] | None = None, **fields: Any) -> TokenEvent:
        """The last event."""
        found = None if abort is None else Abort(condition=abort[1], position=abort[0])
        return self.event(finish=finish, abort=found, **fields)
