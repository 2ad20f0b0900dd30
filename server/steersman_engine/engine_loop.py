"""The engine's thread: it owns the model, and every stream advances in each of its steps.

    arrivals → scheduler.plan() → stepper.compute() → each stream takes its token → events to the callers
                                        ↑ between two steps, a little of an attribution or inspection

asyncio meets the thread in three places: requests come through a queue, events go back once a step,
and a caller who has gone away sets a flag. A step that raises is tried again for each of its streams
alone, so that only the one at fault ends; when all of several fail alone the buffers are made anew.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence

import torch

from steersman_engine.engine import EngineBusyError, EngineClosedError, EngineError, TokenEvent
from steersman_engine.forward import Forward
from steersman_engine.jobs import Job, Jobs
from steersman_engine.sae import SAE
from steersman_engine.scheduler import Scheduler, Work
from steersman_engine.slots import Slots
from steersman_engine.stats import EngineStats
from steersman_engine.step import Outcome, Stepper
from steersman_engine.stream import Deliveries, Stream

log = logging.getLogger(__name__)


class EngineLoop:
    """Starts the thread; `submit` and `close` may be called from any other."""

    def __init__(
        self,
        make_forward: Callable[[], Forward],
        sae: SAE,
        *,
        sink_norm: float,
        vocab_size: int,
        chunk_beside: int,
        chunk_alone: int,
        max_waiting: int,
        max_jobs: int,
    ) -> None:
        self._make_forward, self._sae, self._sink_norm = make_forward, sae, sink_norm
        self._vocab_size = vocab_size
        self._chunks = {"chunk_beside": chunk_beside, "chunk_alone": chunk_alone}
        self._max_waiting, self._max_jobs = max_waiting, max_jobs
        self._arrivals: queue.SimpleQueue[Stream | Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()  # of the two counts, and of what may still be submitted
        self._num_streams = self._num_jobs = 0
        self._closed = False
        self._stats = EngineStats()
        self._deliveries, self._jobs = Deliveries(), Jobs()
        self._build()
        self._thread = threading.Thread(target=self._run, name="steersman-engine", daemon=True)
        self._thread.start()

    def submit(self, arrived: Stream | Job) -> None:
        """Let a stream or a job begin.

        Raises:
            EngineBusyError: Too many wait.
            EngineError: The engine is closed.
        """
        with self._lock:
            if self._closed:
                raise EngineClosedError("The engine is closed.")
            if isinstance(arrived, Job):
                if self._num_jobs >= self._max_jobs:
                    raise EngineBusyError(f"{self._num_jobs} attributions and inspections wait already.")
                self._num_jobs += 1
            else:
                if self._num_streams >= len(self._scheduler.slots) + self._max_waiting:
                    self._stats.requests_total["refused"] += 1
                    raise EngineBusyError(f"{self._max_waiting} requests wait for a slot already.")
                self._num_streams += 1
            self._arrivals.put(arrived)

    def job_over(self, name: str, took_s: float | None) -> None:
        """One job fewer waits: it took so long, or None: it came to nothing."""
        with self._lock:
            self._num_jobs -= 1
            if took_s is not None:
                self._stats.job_seconds[name].add(took_s)

    def close(self) -> None:
        """Stop, and wait until it has."""
        with self._lock:
            self._closed = True
            self._arrivals.put(None)
        self._thread.join()

    def stats(self) -> EngineStats:
        """A copy, as of now."""
        stats = self._stats.copy()
        stats.slots, stats.slots_used = len(self._scheduler.slots), self._scheduler.slots.num_used
        stats.queue_length = max(0, self._num_streams - stats.slots_used)
        stats.jobs_waiting = self._num_jobs
        return stats

    # what follows runs on the thread

    def _build(self) -> None:
        """Make the buffers, empty, and what stands on them."""
        self._stepper = Stepper(self._make_forward(), self._sae, self._sink_norm)
        self._scheduler = Scheduler(Slots(self._stepper.forward.cache), **self._chunks)

    def _run(self) -> None:
        torch.set_grad_enabled(False)  # of this thread
        while self._receive():
            try:
                self._drop()
                self._begin()
                if works := self._scheduler.plan():
                    self._step(works)
            except Exception as error:  # nothing a single stream is to blame for
                self._start_over(error)
            self._deliveries.flush()
            self._jobs.advance()
        for stream in [*self._scheduler.running, *self._scheduler.waiting]:
            self._end(stream, EngineClosedError("The engine was closed."), "error")
        self._deliveries.flush()
        for job in self._jobs.clear():
            job.finish(EngineClosedError("The engine was closed."))

    def _receive(self) -> bool:
        """Take in what has arrived, and wait when there is nothing else to do; False at the end."""
        idle = not (self._scheduler.running or self._scheduler.waiting or self._jobs)
        going_on = True
        while idle or not self._arrivals.empty():
            arrived, idle = self._arrivals.get(), False
            match arrived:
                case None:
                    going_on = False
                case Job():
                    self._jobs.add(arrived)
                case Stream():
                    self._scheduler.waiting.append(arrived)
        return going_on

    def _drop(self) -> None:
        """End the streams whose caller has gone, or whose time is over."""
        for stream in [*self._scheduler.running, *self._scheduler.waiting]:
            if stream.caller.gone:
                self._end(stream, None, "cancelled")
            elif stream.expired:
                self._end(stream, stream.end("deadline"), "deadline")

    def _begin(self) -> None:
        """Give slots to those who wait."""
        for stream in list(self._scheduler.waiting):
            if not stream.is_prepared:
                try:
                    stream.prepare(
                        self._sae, self._sink_norm, self._vocab_size, self._stepper.forward.cache.taps.device
                    )
                except Exception as error:
                    stream.caller.context.run(log.exception, "A request could not be prepared.")
                    self._fail(stream, f"{type(error).__name__}: {error}")
        for stream in self._scheduler.admit():
            stream.begun = time.monotonic()
            self._stats.queue_seconds.add(stream.begun - stream.arrived)
            self._stats.prompt_tokens_total += len(stream.tokens)

    def _step(self, works: Sequence[Work]) -> None:
        began = time.monotonic()
        found = self._compute(works)
        now = time.monotonic()
        self._stats.steps_total += 1
        self._stats.step_seconds.add(now - began)
        for work, outcome in zip(works, found, strict=True):
            self._take(work, outcome, now)

    def _compute(self, works: Sequence[Work]) -> list[Outcome]:
        """The outcomes of one step; when it raises, of each stream's part of it alone.

        Raises:
            EngineError: Several streams failed, each alone: it is not theirs.
        """
        try:
            return self._stepper.compute(works)
        except Exception as error:
            self._stats.faults_total += 1
            if len(works) == 1:
                works[0].stream.caller.context.run(log.exception, "A step of a stream failed in the engine.")
                return [Outcome(error=error)]
            log.exception("A step of %d streams failed in the engine.", len(works))
        found = [outcome for work in works for outcome in self._compute([work])]
        if all(outcome.error is not None for outcome in found):
            raise EngineError(f"All of {len(works)} streams failed: {found[0].error}") from found[0].error
        return found

    def _take(self, work: Work, outcome: Outcome, now: float) -> None:
        """Let a stream go on with what a step found."""
        stream = work.stream
        assert stream.slot is not None
        if outcome.error is not None:
            self._scheduler.slots.forget(stream.slot)
            self._fail(stream, f"{type(outcome.error).__name__}: {outcome.error}")
            return
        slot = self._scheduler.slots[stream.slot]
        slot.upper, slot.lower = work.stop, max(slot.lower, work.stop)
        stream.num_computed += work.stop - work.lower
        stream.num_half_computed += work.lower - work.upper
        if work.is_last and not stream.num_answered:
            self._stats.half_reused_tokens_total += stream.num_half_computed
            computed = stream.num_computed + stream.num_half_computed
            self._stats.reused_tokens_total += len(stream.tokens) - computed
        features = outcome.features
        if stream.complete:
            self._end(stream, stream.end("length", features=features), "length")
            return
        stream.saw(work.stop, outcome.observed)
        if outcome.abort is not None:
            self._end(stream, stream.end("abort", abort=outcome.abort, features=features), "abort")
            return
        if outcome.token_id is None:
            return
        if outcome.token_id in stream.request.stop_token_ids:
            self._end(stream, stream.end("stop", features=features), "stop")
            return
        if stream.num_answered:
            self._stats.inter_token_seconds.add(now - stream.chosen)
        else:
            self._stats.first_token_seconds.add(now - stream.arrived)
        self._stats.generated_tokens_total += 1
        stream.take(outcome.token_id, now)
        self._scheduler.slots.append(stream.slot, outcome.token_id, stream.answer_key)
        event = stream.event(
            token_id=outcome.token_id, logprobs=outcome.logprobs, features=features, timing=stream.timing
        )
        self._deliveries.add(stream.caller, event)
        if stream.complete and stream.request.watch is None:
            self._end(stream, stream.end("length"), "length")

    def _fail(self, stream: Stream, message: str) -> None:
        self._end(stream, EngineError(message), "error")

    def _end(self, stream: Stream, last: TokenEvent | EngineError | None, how: str) -> None:
        """Free what a stream holds, and give its caller the last event."""
        self._scheduler.leave(stream)
        self._stats.requests_total[how] += 1
        with self._lock:
            self._num_streams -= 1
        if last is not None:
            self._deliveries.add(stream.caller, last)

    def _start_over(self, error: Exception) -> None:
        """End every running stream and make the buffers anew; those that wait go on waiting.

        When none runs it is one of those that wait, so all of them end: else it would raise for ever.
        """
        log.exception("The engine starts over.")
        waiting = self._scheduler.waiting
        for stream in list(self._scheduler.running or waiting):
            self._fail(stream, f"{type(error).__name__}: {error}")
        self._stepper.forward.cache.release()  # the error's frames refer to it: there would be buffers twice
        self._build()
        self._scheduler.waiting = waiting
