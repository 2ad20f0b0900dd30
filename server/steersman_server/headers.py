"""What every answer carries, errors and unknown paths included, and what is counted of it."""

import re
import secrets
import time
from collections.abc import Awaitable, Callable
from typing import Any

from litestar.datastructures import MutableScopeHeaders
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from steersman_server.metrics import Metrics

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


def stamp(metrics: Metrics) -> Callable[[Message, Scope], Awaitable[None]]:
    """Litestar's `before_send` hook, the one thing that runs for every answer."""

    async def stamped(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        now_s = time.perf_counter()
        took_s = now_s - scope["state"].get("arrived_s", now_s)
        headers = MutableScopeHeaders.from_message(message)
        headers["x-request-id"] = request_id(scope)
        headers["openai-processing-ms"] = str(round(1000 * took_s))
        headers["x-content-type-options"] = "nosniff"
        known = scope.get("route_handler") is not None
        path = scope.get("path_template", "") if known else "unknown"
        method = str(scope.get("method", "")) if known else ""
        metrics.requests.labels(path, method, message["status"]).inc()
        metrics.seconds.labels(path).observe(took_s)

    return stamped
