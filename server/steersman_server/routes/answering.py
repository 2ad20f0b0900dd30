"""What every endpoint that makes answers shares: identity, streams, and leaving."""

import secrets
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from litestar import Request
from litestar.background_tasks import BackgroundTask
from litestar.response import Stream

from steersman.types import ChatRequest, CompletionRequest, StreamOptions
from steersman_server.account import account_of
from steersman_server.answers.stream import Chunks, events_of
from steersman_server.answers.work import Work
from steersman_server.auth import check_role
from steersman_server.disconnect import until_disconnect
from steersman_server.errors import RequestError

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


@dataclass(frozen=True, slots=True)
class Identity:
    """What all parts of an answer say of themselves."""

    id: str
    created: int
    model: str
    fingerprint: str

    @classmethod
    def new(cls, prefix: str, model: str, fingerprint: str) -> "Identity":
        """One of its own, from now on."""
        return cls(f"{prefix}-{secrets.token_hex(12)}", int(time.time()), model, fingerprint)


def stream_options(options: StreamOptions | None, *, stream: bool) -> StreamOptions:
    """The options in force.

    Raises:
        RequestError: There are some, and no stream.
    """
    if options is not None and not stream:
        message = "`stream_options` is for streams only: set `stream` or leave it out."
        raise RequestError(message, param="stream_options", code="invalid_value")
    return options or StreamOptions()


def check_insight(request: Request[Any, Any, Any], data: ChatRequest | CompletionRequest) -> None:
    """Refuse a look inside an answer to a key that may only chat.

    Raises:
        RequestError: It asks for one.
    """
    caller = account_of(request).caller
    for param in ("attribution", "activations"):
        if getattr(data, param) is not None and caller is not None:
            check_role(caller, "inspect", param)


async def stream(
    request: Request[Any, Any, Any], work: Work, chunks: Chunks, options: StreamOptions
) -> Stream:
    """The answer as it is written. What goes wrong before the first event has its own status."""
    events = events_of(work, chunks, options, account_of(request).fail)
    first = await until_disconnect(request, anext(events))
    return Stream(
        _rejoin(first, events),
        media_type="text/event-stream",
        headers=STREAM_HEADERS,
        background=BackgroundTask(events.aclose),  # runs after a disconnect too
    )


async def _rejoin(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    async for event in rest:
        yield event
