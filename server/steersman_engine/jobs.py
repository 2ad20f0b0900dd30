"""Attributions and inspections: work that runs between the steps of the streams.

A job is cut into small steps (`Steps`). The oldest job advances first; between two steps of the
streams jobs get a short time, and always one step, so that neither starves the other.
"""

import asyncio
import logging
import time
from collections import deque
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any

from steersman_engine.engine import EngineError
from steersman_engine.whole_pass import Steps

log = logging.getLogger(__name__)

SECONDS_BETWEEN_STEPS = 0.02


@dataclass(slots=True, eq=False)
class Job:
    """Steps to take, and the future that gets what they return."""

    steps: Steps[Any]
    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[Any]
    cancelled: bool = False
    context: Context = field(default_factory=copy_context)
    """What the log is told of it runs in it, so that the line says whose it is."""

    def advance(self) -> bool:
        """Take one step; False when the job is over."""
        if self.cancelled:
            self.steps.close()
            return False
        try:
            next(self.steps)
        except StopIteration as end:
            self.finish(end.value)
            return False
        except (ValueError, IndexError) as error:  # what was asked for cannot be done
            self.finish(ValueError(str(error)))
            return False
        except Exception as error:
            self.context.run(log.exception, "A job failed in the engine.")
            self.finish(EngineError(f"{type(error).__name__}: {error}"))
            return False
        return True

    def finish(self, result: Any) -> None:
        """Hand over the result, or the exception, from any thread."""
        try:
            self.loop.call_soon_threadsafe(self._set, result)
        except RuntimeError:  # the event loop is closed
            self.cancelled = True

    def _set(self, result: Any) -> None:
        if self.future.done():
            return
        if isinstance(result, Exception):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)


class Jobs:
    """The jobs that wait, in order; the first is under way."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def add(self, job: Job) -> None:
        """Put a job behind the others."""
        self._jobs.append(job)

    def advance(self) -> None:
        """Take at least one step, if there is one to take."""
        until = time.monotonic() + SECONDS_BETWEEN_STEPS
        while self._jobs:
            if not self._jobs[0].advance():
                self._jobs.popleft()
            if time.monotonic() >= until:
                break

    def clear(self) -> list[Job]:
        """All that wait; nothing waits any more."""
        jobs = list(self._jobs)
        self._jobs.clear()
        return jobs
