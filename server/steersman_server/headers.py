"""What every answer carries, errors and unknown paths included, and what is counted of it."""

import time
from collections.abc import Awaitable, Callable

from litestar.datastructures import MutableScopeHeaders
from litestar.types import Message, Scope

from steersman_server.account import Account
from steersman_server.metrics import Metrics


def stamp(metrics: Metrics) -> Callable[[Message, Scope], Awaitable[None]]:
    """Litestar's `before_send` hook, the one thing that runs for every answer."""

    async def stamped(message: Message, scope: Scope) -> None:
        if message["type"] != "http.response.start":
            return
        account: Account = scope["state"]["account"]
        account.status = message["status"]
        took_s = time.monotonic() - account.arrived_s
        headers = MutableScopeHeaders.from_message(message)
        headers["x-request-id"] = account.request_id
        headers["openai-processing-ms"] = str(round(1000 * took_s))
        headers["x-content-type-options"] = "nosniff"
        if account.caller is not None:
            headers.update(account.caller.headers())
        path = "unknown" if account.route is None else account.route
        method = "" if account.route is None else account.method
        metrics.requests.labels(path, method, message["status"]).inc()
        metrics.seconds.labels(path).observe(took_s)

    return stamped
