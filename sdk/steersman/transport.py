"""Carries calls over HTTP, again where that can help, with httpx's errors turned into ours."""

import time
from typing import Any, TypeVar

import httpx

from steersman.calls import Call, decode
from steersman.connection import RETRIED, Connection, check_stream
from steersman.errors import status_error
from steersman.raw import RawResponse
from steersman.retries import delay_after_failure, delay_after_status
from steersman.stream import Stream

T = TypeVar("T")
S = TypeVar("S", bound=Stream[Any])


class Transport:
    """Sends calls. Safe to share among threads, as `httpx.Client` is."""

    def __init__(self, http: httpx.Client, connection: Connection) -> None:
        self.http, self.connection = http, connection

    def send(self, call: Call[T]) -> T:
        """The answer to `call`."""
        return decode(self.request(call).content, call.answer)

    def raw(self, call: Call[T]) -> RawResponse[T]:
        """The answer to `call`, unread."""
        response = self.request(call)
        return RawResponse(response.status_code, response.headers, response.content, call.answer)

    def stream(self, call: Call[Any], kind: type[S]) -> S:
        """The answer to `call`, as it comes. From here on nothing is retried."""
        response = self.request(call, stream=True)
        try:
            check_stream(response.headers.get("content-type", ""))
        except Exception:
            response.close()
            raise
        return kind(response)

    def request(self, call: Call[Any], *, stream: bool = False) -> httpx.Response:
        """A 2xx answer: its head if `stream`, else all of it."""
        attempt = 0
        while True:
            last = attempt == self.connection.max_retries
            try:
                request = self.http.build_request(**self.connection.request(call))
                response = self.http.send(request, stream=stream)
                if response.is_success:
                    return response
                body = response.read()
            except httpx.RequestError as error:
                if last or not isinstance(error, RETRIED):
                    raise self.connection.failure(error) from error
                delay = delay_after_failure(attempt)
            else:
                delay = delay_after_status(response.status_code, response.headers, attempt)
                if last or delay is None:
                    raise status_error(response.status_code, body, response.headers.get("x-request-id"))
            time.sleep(delay)
            attempt += 1
