"""The headers that every answer carries, errors and unknown paths included."""

import re
import secrets
import time
from typing import Any

from litestar.datastructures import MutableScopeHeaders
from litestar.types import ASGIApp, Message, Receive, Scope, Send

SANE_ID = re.compile(rb"[A-Za-z0-9_.-]{1,128}")


def request_id(scope: Any) -> str:
    """The id of a request: the one it came with, if that is sane, or else a new one."""
    state = scope["state"]
    if "request_id" not in state:
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        state["request_id"] = given.decode() if SANE_ID.fullmatch(given) else f"req_{secrets.token_hex(16)}"
    return state["request_id"]


def clock(app: ASGIApp) -> ASGIApp:
    """Middleware that notes when a request arrived; unknown paths do not pass here and take no time."""

    async def clocked(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["arrived_s"] = time.perf_counter()
        await app(scope, receive, send)

    return clocked


async def add_headers(message: Message, scope: Scope) -> None:
    """Litestar's `before_send` hook."""
    if message["type"] != "http.response.start":
        return
    now_s = time.perf_counter()
    headers = MutableScopeHeaders.from_message(message)
    headers["x-request-id"] = request_id(scope)
    headers["openai-processing-ms"] = str(round(1000 * (now_s - scope["state"].get("arrived_s", now_s))))
