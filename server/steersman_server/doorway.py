"""The port is open while the model loads: until then every request is told to come back."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Litestar
from litestar.types import Receive, Scope, Send

from steersman.types import ErrorEnvelope, ErrorObject
from steersman_server.error_codes import CODES
from steersman_server.errors import extra_headers
from steersman_server.request_ids import request_id


class Doorway:
    """An ASGI application that becomes the one that `load` makes, in a thread of its own.

    `done` is called when it has, with None or with what went wrong.
    """

    def __init__(self, load: Callable[[], Litestar], done: Callable[[BaseException | None], None]) -> None:
        self._load = load
        self._done = done
        self._app: Litestar | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif self._app is not None:
            await self._app(scope, receive, send)
        else:
            await _not_ready(scope, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Load from the server's start on, and run the application's own lifespan until the end."""
        await receive()
        leaving = asyncio.Event()
        running = asyncio.create_task(self._run(leaving))
        await send({"type": "lifespan.startup.complete"})  # type: ignore[arg-type] # left out of Message
        await receive()
        leaving.set()
        if self._app is not None:
            await running
        await send({"type": "lifespan.shutdown.complete"})  # type: ignore[arg-type]

    async def _run(self, leaving: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        loaded: asyncio.Future[Litestar] = loop.create_future()

        def tell(call: Callable[[Any], None], result: Any) -> None:
            if not leaving.is_set():
                loop.call_soon_threadsafe(call, result)

        def load() -> None:
            try:
                tell(loaded.set_result, self._load())
            except BaseException as error:  # the server ends with it
                tell(loaded.set_exception, error)

        threading.Thread(target=load, name="steersman-load", daemon=True).start()
        try:
            app = await loaded
        except BaseException as error:
            self._done(error)
            return
        async with app.lifespan():
            self._app = app
            self._done(None)
            await leaving.wait()


async def _not_ready(scope: Scope, send: Send) -> None:
    scope.setdefault("state", {})
    code = CODES["not_ready"]
    error = ErrorObject(message="The model is being loaded.", type=code.type, param=None, code="not_ready")
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
