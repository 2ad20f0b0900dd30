"""The client of a steersman server."""

import os
from types import TracebackType
from typing import Self

import httpx

from steersman import calls
from steersman.resources import Chat, Features, Models
from steersman.transport import Transport
from steersman.types import Health

DEFAULT_BASE_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT = httpx.Timeout(600, connect=5)


class Client:
    """A steersman server: `client.chat.completions`, `client.features`, `client.models`.

    Args:
        base_url: With or without `/v1`. Without it: that of `http`, or `STEERSMAN_BASE_URL` in the
            environment, or this machine's port 8000.
        api_key: `STEERSMAN_API_KEY` in the environment, if left out.
        timeout: Seconds without a sign of the server, or all that httpx offers; 600, and 5 to
            connect, if left out.
        max_retries: How often a request is sent again after a failed connection, a timeout or a
            status of 408, 409, 429 or 500 and above.
        http: Sends the requests, with its own timeout, and is left open; this excludes `timeout`.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        max_retries: int = 2,
        http: httpx.Client | None = None,
    ) -> None:
        if max_retries < 0:
            raise ValueError(f"max_retries={max_retries}: give 0 or more.")
        if http is not None and timeout is not None:
            raise ValueError("Give the timeout to `http` itself: a client of your own keeps its settings.")
        key = os.environ.get("STEERSMAN_API_KEY") if api_key is None else api_key
        self._owned = http is None
        url = _base_url(base_url, http)
        self._http = http or httpx.Client(timeout=DEFAULT_TIMEOUT if timeout is None else timeout)
        transport = Transport(self._http, url, _headers(key), max_retries)
        self._transport = transport
        self.models = Models(transport)
        self.chat = Chat(transport, self.models)
        self.features = Features(transport)

    @property
    def base_url(self) -> str:
        """The server's address, without `/v1`."""
        return self._transport.base_url

    def health(self) -> Health:
        """What the server serves, once it is ready.

        Raises:
            InternalServerError: It is not ready yet (503).
        """
        return self._transport.send(calls.health())

    def close(self) -> None:
        """Close the connections, unless they are those of an `http` that was passed in."""
        if self._owned:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self.base_url!r})"


def _base_url(given: str | None, http: httpx.Client | None) -> str:
    own = str(http.base_url) if http is not None else ""
    url = given or own or os.environ.get("STEERSMAN_BASE_URL") or DEFAULT_BASE_URL
    parsed = httpx.URL(url)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ValueError(f"Base URL {url!r}: it must begin with http:// or https://.")
    return url.rstrip("/").removesuffix("/v1")


def _headers(key: str | None) -> dict[str, str]:
    if not key:
        return {}
    if not (key.isascii() and key.isprintable()):  # httpx would show the key in its error
        raise ValueError("The API key holds a character that no header may hold; a line break, perhaps.")
    return {"authorization": f"Bearer {key}"}
