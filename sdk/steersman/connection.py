"""What both clients know before they send anything: the address, the key, what to say of a failure."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from steersman.calls import Call
from steersman.errors import APIConnectionError, APITimeoutError, ResponseError

DEFAULT_BASE_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT = httpx.Timeout(600, connect=5)
RETRIED = (httpx.TimeoutException, httpx.NetworkError, httpx.RemoteProtocolError)


@dataclass(frozen=True)
class Connection:
    """Where requests go and what goes with each."""

    base_url: str
    """Without `/v1`."""
    max_retries: int = 2
    headers: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    timeout: httpx.Timeout | None = None
    """None: that of the httpx client."""

    @classmethod
    def of(
        cls,
        base_url: str | None,
        api_key: str | None,
        timeout: float | httpx.Timeout | None,
        max_retries: int,
        http: httpx.Client | httpx.AsyncClient | None,
    ) -> "Connection":
        """From what a client was given, and the environment.

        Raises:
            ValueError: They contradict each other, or cannot be.
        """
        if max_retries < 0:
            raise ValueError(f"max_retries={max_retries}: give 0 or more.")
        if http is not None and timeout is not None:
            raise ValueError("Give the timeout to `http` itself: a client of your own keeps its settings.")
        own = str(http.base_url) if http is not None else ""
        url = base_url or own or os.environ.get("STEERSMAN_BASE_URL") or DEFAULT_BASE_URL
        parsed = httpx.URL(url)
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise ValueError(f"Base URL {url!r}: it must begin with http:// or https://.")
        key = os.environ.get("STEERSMAN_API_KEY") if api_key is None else api_key
        return cls(url.rstrip("/").removesuffix("/v1"), max_retries, _headers(key))

    def request(self, call: Call[Any]) -> dict[str, Any]:
        """What httpx's `build_request` takes for a call."""
        headers = dict(self.headers)
        if call.body is not None:
            headers["content-type"] = "application/json"
        timeout = {} if self.timeout is None else {"timeout": self.timeout}
        return {
            "method": call.method,
            "url": self.base_url + call.path,
            "params": call.query or None,
            "content": call.body,
            "headers": headers,
            **timeout,
        }

    def failure(self, error: httpx.RequestError) -> Exception:
        """Ours, for what httpx raised."""
        reason = str(error) or type(error).__name__
        if isinstance(error, httpx.TimeoutException):
            return APITimeoutError(f"{self.base_url} did not answer in time: {reason}")
        if isinstance(error, httpx.DecodingError):
            return ResponseError(f"{self.base_url} answered with a body that cannot be decoded: {reason}")
        message = f"{self.base_url} cannot be reached: {reason}"
        if isinstance(error, httpx.ConnectError):
            message += ". Is a server running there? `steersman serve` starts one."
        return APIConnectionError(message)


def check_stream(kind: str) -> None:
    """Raise ResponseError unless a content type is that of a stream of events."""
    if not kind.startswith("text/event-stream"):
        raise ResponseError(f"The answer is no stream of events but {kind or 'of no type'}.")


def _headers(key: str | None) -> dict[str, str]:
    if not key:
        return {}
    if not (key.isascii() and key.isprintable()):  # httpx would show the key in its error
        raise ValueError("The API key holds a character that no header may hold; a line break, perhaps.")
    return {"authorization": f"Bearer {key}"}
