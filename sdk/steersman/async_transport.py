"""Carries calls over HTTP as `transport` does, without holding up the event loop."""

import asyncio
from typing import Any, TypeVar

import httpx

from steersman.calls import Call, decode
from steersman.connection import RETRIED, Connection, check_stream
from steersman.errors import status_error
from steersman.raw import RawResponse
from steersman.retries import delay_after_failure, delay_after_status
from steersman.stream import AsyncStream

T = TypeVar("T")
S = TypeVar("S", bound=AsyncStream[Any])


class AsyncTransport:
    """Sends calls, within one event loop, as `httpx.AsyncClient` does."""

    def __init__(self, http: httpx.AsyncClient, connection: Connection) -> None:
        self.http, self.connection = http, connection

    async def send(self, call: Call[T]) -> T:
        """The answer to `call`."""
        return decode((await self.request(call)).content, call.answer)

    async def raw(self, call: Call[T]) -> RawResponse[T]:
        """The answer to `call`, unread."""
        response = await self.request(call)
        return RawResponse(response.status_code, response.headers, response.content, call.answer)

    async def stream(self, call: Call[Any], kind: type[S]) -> S:
        """The answer to `call`, as it comes. From here on nothing is retried."""
        response = await self.request(call, stream=True)
        try:
            check_stream(response.headers.get("content-type", ""))
        except Exception:
            await response.aclose()
            raise
        return kind(response)

    async def request(self, call: Call[Any], *, stream: bool = False) -> httpx.Response:
        """A 2xx answer: its head if `stream`, else all of it."""
        attempt = 0
        while True:
            last = attempt == self.connection.max_retries
            try:
                request = self.http.build_request(**self.connection.request(call))
                response = await self.http.send(request, stream=stream)
                if response.is_success:
                    return response
                body = await response.aread()
            except httpx.RequestError as error:
                if last or not isinstance(error, RETRIED):
                    raise self.connection.failure(error) from error
                delay = delay_after_failure(attempt)
            else:
                delay = delay_after_status(response.status_code, response.headers, attempt)
                if last or delay is None:
                    raise status_error(response.status_code, body, response.headers.get("x-request-id"))
            await asyncio.sleep(delay)
            attempt += 1
