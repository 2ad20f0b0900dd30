"""Carries calls over HTTP: addresses, keys, retries, and httpx's errors turned into ours."""

import time
from typing import TypeVar

import httpx

from steersman.calls import Call, decode
from steersman.errors import APIConnectionError, APITimeoutError, ResponseError, status_error
from steersman.retries import delay_after_failure, delay_after_status
from steersman.stream import ChatStream

T = TypeVar("T")
RETRIED = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError)


class Transport:
    """Sends calls, again where that can help. Safe to share among threads, as `httpx.Client` is."""

    def __init__(self, http: httpx.Client, base_url: str, headers: dict[str, str], max_retries: int) -> None:
        self.base_url = base_url
        self._http = http
        self._headers = headers
        self._max_retries = max_retries

    def send(self, call: Call[T]) -> T:
        """The answer to `call`."""
        response = self._request(call, stream=False)
        return decode(response.content, call.answer)

    def stream(self, call: Call[T]) -> ChatStream:
        """The answer to `call`, as it comes. From here on nothing is retried."""
        response = self._request(call, stream=True)
        kind = response.headers.get("content-type", "")
        if not kind.startswith("text/event-stream"):
            response.close()
            raise ResponseError(f"The answer is no stream of events but {kind or 'of no type'}.")
        return ChatStream(response)

    def _request(self, call: Call[T], *, stream: bool) -> httpx.Response:
        """A 2xx answer: its head if `stream`, else all of it."""
        attempt = 0
        while True:
            last = attempt == self._max_retries
            try:
                response = self._http.send(self._build(call), stream=stream)
                if response.is_success:
                    return response
                body = response.read()
            except httpx.RequestError as error:
                if last or not isinstance(error, RETRIED):
                    raise self._failure(error) from error
                delay = delay_after_failure(attempt)
            else:
                delay = delay_after_status(response.status_code, response.headers, attempt)
                if last or delay is None:
                    raise status_error(response.status_code, body, response.headers.get("x-request-id"))
            time.sleep(delay)
            attempt += 1

    def _build(self, call: Call[T]) -> httpx.Request:
        return self._http.build_request(
            call.method,
            self.base_url + call.path,
            params=call.query or None,
            content=call.body,
            headers=self._headers
            if call.body is None
            else {**self._headers, "content-type": "application/json"},
        )

    def _failure(self, error: httpx.RequestError) -> Exception:
        reason = str(error) or type(error).__name__
        if isinstance(error, httpx.TimeoutException):
            return APITimeoutError(f"{self.base_url} did not answer in time: {reason}")
        if isinstance(error, httpx.DecodingError):
            return ResponseError(f"{self.base_url} answered with a body that cannot be decoded: {reason}")
        return APIConnectionError(f"{self.base_url} cannot be reached: {reason}")
