"""What every answer carries, errors and unknown paths included, and what is counted of it."""

import time
from collections.abc import Awaitable, Callable

from litestar.datastructures import MutableScopeHeaders
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from steersman_server.account import Account
from steersman_server.config import ServerConfig
from steersman_server.disconnect import impatient
from steersman_server.metrics import Metrics
from steersman_server.request_ids import request_id


def accounting(app: ASGIApp, config: ServerConfig) -> ASGIApp:
    """Middleware that keeps an account of a request, and waits for no client for ever.

    Unknown paths do not pass here.
    """

    async def accounted(scope: Scope, receive: Receive, send: Send) -> None:
        account = scope["state"]["account"] = Account()
        try:
            await app(scope, *impatient(receive, send, config.client_timeout_s))
        finally:
            account.close()

    return accounted


def stamp(metrics: Metrics) -> Callable[[Message, Scope], Awaitable[None]]:
    """Litestar's `before_send` hook, the one thing that runs for every answer."""

    async def stamped(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        account: Account = scope["state"].get("account") or Account()
        took_s = time.perf_counter() - account.arrived_s
        headers = MutableScopeHeaders.from_message(message)
        headers["x-request-id"] = request_id(scope)
        headers["openai-processing-ms"] = str(round(1000 * took_s))
        headers["x-content-type-options"] = "nosniff"
        if account.caller is not None:
            headers.update(account.caller.headers())
        known = scope.get("route_handler") is not None
        path = scope.get("path_template", "") if known else "unknown"
        method = str(scope.get("method", "")) if known else ""
        metrics.requests.labels(path, method, message["status"]).inc()
        metrics.seconds.labels(path).observe(took_s)

    return stamped
