"""Work that stops when nobody waits for it any more."""

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from litestar import Request
from litestar.types import Message, Receive, Send

from steersman_server.errors import ClientDisconnectedError, RequestError

T = TypeVar("T")


async def until_disconnect(request: Request[Any, Any, Any], work: Awaitable[T]) -> T:
    """The result of `work`, which is cancelled when the client goes away. The body must have been read.

    Raises:
        ClientDisconnectedError: The client went away first.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnectedError
        return working.result()
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.gather(working, leaving, return_exceptions=True)


def impatient(receive: Receive, send: Send, limit_s: float) -> tuple[Receive, Send]:
    """The same, but that the whole body must come in so many seconds, and each part of an answer be taken.

    Who does not take a part counts as gone.

    Raises:
        RequestError: The body did not come.
        ClientDisconnectedError: The client left before all of it had come.
    """
    until = asyncio.get_running_loop().time() + limit_s
    reading, gone = True, asyncio.Event()

    async def received() -> Any:
        nonlocal reading
        if not reading:
            return await _unless(gone, receive)
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError as error:
            raise RequestError(f"The body did not come within {limit_s:g} s.", code="body_timeout") from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError
        reading = bool(message.get("more_body"))
        return message

    async def sent(message: Message) -> None:
        if gone.is_set():
            return
        try:
            async with asyncio.timeout(limit_s):
                await send(message)
        except TimeoutError:
            gone.set()

    return received, sent


async def _unless(gone: asyncio.Event, receive: Receive) -> Any:
    """The next message, or that the client has left once `gone` is set."""
    receiving, leaving = asyncio.ensure_future(receive()), asyncio.create_task(gone.wait())
    try:
        await asyncio.wait({receiving, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return receiving.result() if receiving.done() else {"type": "http.disconnect"}
    finally:
        receiving.cancel()
        leaving.cancel()


async def _disconnected(request: Request[Any, Any, Any]) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
