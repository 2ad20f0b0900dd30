"""Calls to the Message Batches API, made again after passing trouble."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from typing import Any, TypeVar

import anthropic
import httpx2
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse

from steersman.retries import delay_after_failure
from steersman_training.labelling.transports import BackendError, TurnedAwayError, UnsureError
from steersman_training.labelling.transports.claude_errors import MalformedError, as_ours

MAX_TRIES = 8
"""Of one call."""
MAX_WAIT_S = 300.0

T = TypeVar("T")


class BatchGoneError(BackendError):
    """The service does not know the batch any more, or not its results."""


class BatchService:
    """The service; the client's own retries are off, since they may make a batch twice."""

    def __init__(self, client: anthropic.Anthropic) -> None:
        self._batches = client.with_options(max_retries=0).messages.batches

    def create(self, requests: list[dict[str, Any]]) -> str | Exception:
        """The new batch's id, or the trouble that it met: sent once."""
        try:
            return self._batches.create(requests=requests).id  # pyright: ignore[reportArgumentType]
        except anthropic.APIError as error:
            trouble = as_ours(error)
            if isinstance(error, anthropic.InternalServerError) and error.status_code not in (503, 529):
                return UnsureError(str(trouble))  # it may have been made all the same
            return trouble

    def has_ended(self, batch: str) -> bool:
        """Whether all its requests have a result; of a batch that is gone, too."""
        try:
            return self._again(lambda: self._batches.retrieve(batch)).processing_status == "ended"
        except BatchGoneError:
            return True

    def made_since(self, moment: datetime) -> list[MessageBatch]:
        """Newest first."""

        def read() -> list[MessageBatch]:
            found = []
            for batch in self._batches.list(limit=100):  # the iterator turns the pages
                if batch.created_at < moment:
                    break
                found.append(batch)
            return found

        return self._again(read)

    def first_id(self, batch: str) -> str:
        """The id of the request of some result; empty if there is none."""
        return self.read_results(batch, lambda results: next((r.custom_id for r in results), ""))

    def read_results(self, batch: str, read: Callable[[Iterator[MessageBatchIndividualResponse]], T]) -> T:
        """What `read` makes of the results; it is called again, from the first, if the stream breaks off."""

        def whole() -> T:
            with closing(self._batches.results(batch)) as lines:
                return read(iter(lines))

        return self._again(whole)

    def _again(self, call: Callable[[], T]) -> T:
        """Make a call that may be made any number of times.

        Raises:
            BatchGoneError: There is no such batch.
            BackendError: The trouble does not pass.
        """
        attempt = 0
        while True:
            try:
                return call()
            except anthropic.NotFoundError as error:
                raise BatchGoneError(str(error)) from error
            except anthropic.APIError as error:
                trouble = as_ours(error)
            except anthropic.AnthropicError as error:  # ended, and no address of the results
                raise BatchGoneError(str(error)) from error
            except (httpx2.HTTPError, ValueError) as error:  # the stream broke off, perhaps within a line
                trouble = UnsureError(f"the results broke off: {error}")
            attempt += 1
            if attempt == MAX_TRIES or isinstance(trouble, BackendError | MalformedError):
                raise BackendError(f"{trouble} (tried {attempt} times)") from trouble
            time.sleep(pause(trouble, attempt))


def pause(trouble: Exception, attempt: int) -> float:
    """Seconds to wait before attempt number `attempt` (from 0), as the service asked or else doubling."""
    asked = trouble.wait_s if isinstance(trouble, TurnedAwayError) else None
    return delay_after_failure(attempt - 1) if asked is None else min(asked, MAX_WAIT_S)
