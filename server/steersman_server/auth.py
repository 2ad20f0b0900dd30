"""Who may ask: those with an API key, under a name that this server goes by."""

import hashlib
import hmac
import re

from litestar.datastructures import Headers
from litestar.types import ASGIApp, Receive, Scope, Send

from steersman_server.config import ServerConfig
from steersman_server.errors import RequestError

OPEN = {"open": True}
"""The `opt` of a handler that asks for no key: an orchestrator's health checks, a page that asks for it."""


class Gate:
    """Middleware that lets in who may ask."""

    def __init__(self, app: ASGIApp, config: ServerConfig) -> None:
        self.app = app
        self._keys = config.api_keys
        self._hosts = config.allowed_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse.

        Raises:
            RequestError: The key or the host is wrong.
        """
        if scope["type"] == "http":
            headers = Headers.from_scope(scope)
            self._check_host(headers.get("host", ""))
            if not scope["route_handler"].opt.get("open"):
                self._check_key(headers)
        await self.app(scope, receive, send)

    def _check_host(self, host: str) -> None:
        """A page elsewhere may give its own name this machine's address; the header tells."""
        name = re.sub(r":\d+$", "", host).lower().strip("[]")
        if self._hosts is not None and name not in self._hosts:
            message = f"This server does not go by the name '{name[:100]}': start it with --allow-host."
            raise RequestError(message, code="host_not_allowed")

    def _check_key(self, headers: Headers) -> None:
        if not self._keys:
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        digest = hashlib.sha256(given.encode()).digest()
        # every key is compared, so that the time taken tells nothing
        if not sum(hmac.compare_digest(digest, key) for key in self._keys):
            what = "Incorrect API key provided." if given else "You didn't provide an API key."
            message = f"{what} Send it as 'Authorization: Bearer KEY' or 'X-Api-Key: KEY'."
            raise RequestError(message, code="invalid_api_key")
