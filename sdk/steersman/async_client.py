"""The client of a steersman server, for asyncio."""

from dataclasses import replace
from types import TracebackType
from typing import Self

import httpx

from steersman.async_transport import AsyncTransport
from steersman.connection import DEFAULT_TIMEOUT, Connection
from steersman.resources.chat import AsyncChat, AsyncCompletions
from steersman.resources.features import AsyncFeatures
from steersman.resources.others import AsyncModels, AsyncRoot, AsyncSweeps, AsyncVariants


class AsyncClient(AsyncRoot):
    """What `Client` is, with every method awaited; made and used within one event loop.

    Args:
        base_url: With or without `/v1`. Without it: that of `http`, or `STEERSMAN_BASE_URL` in the
            environment, or this machine's port 8000.
        api_key: `STEERSMAN_API_KEY` in the environment, if left out.
        timeout: Seconds without a sign of the server, or all that httpx offers; 600, and 5 to
            connect, if left out.
        max_retries: How often a request is sent again after a failed connection, a timeout or a
            status of 408, 429 or 500 and above.
        http: Sends the requests, with its own timeout, and is left open; this excludes `timeout`.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        api_key: str | None = None,
        timeout: float | httpx.Timeout | None = None,
        max_retries: int = 2,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        connection = Connection.of(base_url, api_key, timeout, max_retries, http)
        self._owned = http is None
        own = http or httpx.AsyncClient(timeout=DEFAULT_TIMEOUT if timeout is None else timeout)
        self._use(AsyncTransport(own, connection))

    def _use(self, transport: AsyncTransport) -> None:
        super().__init__(transport)
        self.chat = AsyncChat(transport)
        self.completions = AsyncCompletions(transport)
        self.features = AsyncFeatures(transport)
        self.models = AsyncModels(transport)
        self.sweeps = AsyncSweeps(transport)
        self.variants = AsyncVariants(transport)

    @property
    def base_url(self) -> str:
        """The server's address, without `/v1`."""
        return self._transport.connection.base_url

    def with_options(
        self, *, timeout: float | httpx.Timeout | None = None, max_retries: int | None = None
    ) -> "AsyncClient":
        """A client with other options over the same connections; closing it closes nothing."""
        connection = self._transport.connection
        if timeout is not None:
            connection = replace(connection, timeout=httpx.Timeout(timeout))
        if max_retries is not None:
            if max_retries < 0:
                raise ValueError(f"max_retries={max_retries}: give 0 or more.")
            connection = replace(connection, max_retries=max_retries)
        other = object.__new__(type(self))
        other._owned = False
        other._use(AsyncTransport(self._transport.http, connection))
        return other

    async def close(self) -> None:
        """Close the connections, unless they are those of an `http` that was passed in."""
        if self._owned:
            await self._transport.http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"
