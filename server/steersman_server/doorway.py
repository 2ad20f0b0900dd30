"""In front of the application: until it is loaded, and once the server stops, requests are sent away.

The latter by the application itself, which knows their paths and counts them.
"""

import asyncio
import threading
from concurrent.futures import Future
from contextlib import AsyncExitStack

import msgspec
from litestar import Litestar
from litestar.types import Receive, Scope, Send

from steersman.types import ErrorEnvelope, ErrorObject
from steersman_server.account import Account
from steersman_server.accounting import accounting, write_line
from steersman_server.config import ServerConfig
from steersman_server.error_codes import CODES
from steersman_server.errors import extra_headers
from steersman_server.request_ids import request_id

LOADING = "The model is being loaded."
ALIVE = "/health"
"""Answered to the end: a server that stops is not a dead one."""


class Doorway:
    """An ASGI application that lets requests in to another, from `open` to `close`; without one, none yet."""

    def __init__(self, app: Litestar | None, config: ServerConfig) -> None:
        self._given: Future[Litestar] = Future()
        self._app: Litestar | None = None
        self._refuse = accounting(_refuse, config, [write_line])
        self._is_closed = False
        self._empty = asyncio.Event()
        self._empty.set()
        self.num_inside = 0
        """Requests under way."""
        self.opened = threading.Event()
        if app is not None:
            self.open(app)

    def open(self, app: Litestar) -> None:
        """Let requests in from now on. Any thread may call it, once."""
        self._given.set_result(app)

    async def close(self, within_s: float) -> bool:
        """Let no more in, and wait so long for all to leave; whether they have."""
        self._is_closed = True
        try:
            async with asyncio.timeout(within_s):
                await self._empty.wait()
        except TimeoutError:
            return False
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is None:
            await self._refuse(scope, receive, send)
        elif self._is_closed and scope["path"] != ALIVE:
            scope["state"]["is_late"] = True
            await self._app(scope, receive, send)
        else:
            self.num_inside += 1
            self._empty.clear()
            try:
                await self._app(scope, receive, send)
            finally:
                self.num_inside -= 1
                if not self.num_inside:
                    self._empty.set()

    async def _live(self, receive: Receive, send: Send) -> None:
        """Run the application's own lifespan, from when there is one until the server ends."""
        await receive()
        async with AsyncExitStack() as stack:
            if self._given.done():
                await self._enter(stack, self._given.result())
            await send({"type": "lifespan.startup.complete"})  # type: ignore[arg-type] # left out of Message
            leaving = asyncio.ensure_future(receive())
            if self._app is None:
                given = asyncio.wrap_future(self._given)
                await asyncio.wait({given, leaving}, return_when=asyncio.FIRST_COMPLETED)
                if given.done():
                    await self._enter(stack, given.result())
            await leaving
        await send({"type": "lifespan.shutdown.complete"})  # type: ignore[arg-type]

    async def _enter(self, stack: AsyncExitStack, app: Litestar) -> None:
        await stack.enter_async_context(app.lifespan())
        self._app = app
        self.opened.set()


async def _refuse(scope: Scope, _: Receive, send: Send) -> None:
    account: Account = scope["state"]["account"]
    code = CODES["not_ready"]
    account.status, account.code = code.status, "not_ready"
    error = ErrorObject(message=LOADING, type=code.type, param=None, code="not_ready")
    headers = {
        "content-type": "application/json",
        "x-request-id": request_id(scope),
        "openai-processing-ms": "0",
        **extra_headers(code.status),
    }
    encoded: list[tuple[bytes, bytes]] = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": code.status, "headers": encoded})  # pyright: ignore
    body = msgspec.json.encode(ErrorEnvelope(error))
    await send({"type": "http.response.body", "body": body, "more_body": False})
