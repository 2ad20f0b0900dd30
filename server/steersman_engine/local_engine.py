"""The engine that runs here: one thread owns the model, and takes its requests in turns.

A request is a Python generator that computes one step (a token, an attribution) and yields what it
found; the thread advances every generator under way by one step, over and over. Nothing of a
request outlives its generator. asyncio meets the thread only in `_Job`.
"""

import asyncio
import logging
import queue
import secrets
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from steersman_engine.attribution import attribute, read
from steersman_engine.edits import AffineEdit, EditReport, Steering
from steersman_engine.engine import (
    AttributionRequest,
    EngineError,
    EngineInfo,
    GenerateRequest,
    TokenEvent,
    TokenScores,
)
from steersman_engine.host import HostModel
from steersman_engine.prompt import Prompt
from steersman_engine.sae import SAE
from steersman_engine.sampling import sample

log = logging.getLogger(__name__)
_END = object()


@dataclass(slots=True)
class _Job:
    """One request: the steps to compute, and the queue its caller reads."""

    steps: Iterator[Any]
    loop: asyncio.AbstractEventLoop
    results: asyncio.Queue[Any] = field(default_factory=asyncio.Queue)
    cancelled: bool = False

    def advance(self) -> bool:
        """Compute one step and hand it over; False when there are no more."""
        if self.cancelled:
            return False
        try:
            result = next(self.steps, _END)
        except Exception as error:  # ends this request, not the others
            log.exception("A request failed in the engine.")
            result = EngineError(f"{type(error).__name__}: {error}")
        self.put(result)
        return result is not _END and not isinstance(result, EngineError)

    def put(self, result: Any) -> None:
        """Hand something to the caller, from the engine's thread."""
        try:
            self.loop.call_soon_threadsafe(self.results.put_nowait, result)
        except RuntimeError:  # the caller's event loop is gone
            self.cancelled = True


class LocalEngine:
    """An `Engine` over a transformers model in this process."""

    def __init__(self, host: HostModel, sae: SAE, *, sink_norm: float) -> None:
        if sae.d_in != host.d_model:
            raise ValueError(f"The SAE reads {sae.d_in} numbers a token; the model has {host.d_model}.")
        self.info = EngineInfo(d_sae=sae.d_sae, max_positions=host.max_positions)
        self._host, self._sae, self._sink_norm = host, sae, sink_norm
        self._mean_W_U = host.W_U.float().mean(0)
        self._arrivals: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="steersman-engine", daemon=True)
        self._thread.start()

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenEvent, None]:
        """The answer, token by token, then one event with `finish`."""
        async with aclosing(self._stream(lambda: self._generate(request))) as events:
            async for event in events:
                yield event

    async def attribute(self, request: AttributionRequest) -> list[TokenScores]:
        """One entry for each of `request.tokens`, in that order."""
        steps = lambda: attribute(self._host, self._sae, self._sink_norm, request, self._mean_W_U)  # noqa: E731
        return [scores async for scores in self._stream(steps)]

    async def feature_acts(
        self, prompt: Prompt, edits: tuple[AffineEdit, ...], features: tuple[int, ...]
    ) -> list[list[float]]:
        """Activations of `features` at each token of `prompt`, after edits; 0 at attention sinks."""
        steps = lambda: self._feature_acts(prompt, edits, features)  # noqa: E731
        return [row async for row in self._stream(steps)]

    async def aclose(self) -> None:
        """Stop; requests under way end with EngineError."""
        self._closed = True
        self._arrivals.put(None)
        await asyncio.to_thread(self._thread.join)

    async def _stream(self, steps: Callable[[], Iterator[Any]]) -> AsyncGenerator[Any, None]:
        if self._closed:
            raise EngineError("The engine is closed.")
        job = _Job(steps(), asyncio.get_running_loop())
        self._arrivals.put(job)
        try:
            while (result := await job.results.get()) is not _END:
                if isinstance(result, EngineError):
                    raise result
                yield result
        finally:
            job.cancelled = True

    def _run(self) -> None:
        jobs: list[_Job] = []
        while True:
            while not jobs or not self._arrivals.empty():
                arrived = self._arrivals.get()
                if arrived is None:
                    for job in jobs:
                        job.put(EngineError("The engine was closed."))
                    return
                jobs.append(arrived)
            jobs = [job for job in jobs if job.advance()]

    @torch.no_grad()
    def _generate(self, request: GenerateRequest) -> Iterator[TokenEvent]:
        prompt, sampling = request.prompt, request.sampling
        steering = Steering.of(request.edits, prompt, self._sae, self._sink_norm)
        seed = secrets.randbits(63) if sampling.seed is None else sampling.seed
        generator = torch.Generator().manual_seed(seed)
        cache = self._host.new_cache()
        pending, start, finish = list(prompt.token_ids), 0, None
        for _ in range(request.max_tokens):
            at = start
            logits = self._host.logits(
                torch.tensor([pending], device=self._host.device),
                edit=steering and (lambda x, at=at: steering.apply(x, at)),
                cache=cache,
                last=1,
            )[0, -1]
            token_id = sample(
                logits, temperature=sampling.temperature, top_p=sampling.top_p, generator=generator
            )
            if token_id in request.stop_token_ids:
                finish = "stop"
                break
            yield TokenEvent(token_id=token_id, reports=_so_far(steering))
            pending, start = [token_id], start + len(pending)
        yield TokenEvent(finish=finish or "length", reports=_so_far(steering))

    def _feature_acts(
        self, prompt: Prompt, edits: tuple[AffineEdit, ...], features: tuple[int, ...]
    ) -> Iterator[list[float]]:
        _, acts, _ = read(self._host, self._sae, self._sink_norm, prompt, edits, prompt.token_ids)
        yield from acts[:, list(features)].tolist()


def _so_far(steering: Steering | None) -> list[EditReport]:
    """Copies, since the thread goes on counting."""
    return [replace(report) for report in steering.reports] if steering else []
