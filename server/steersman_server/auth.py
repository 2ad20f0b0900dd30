"""Who may ask: those with an API key, under a name that this server goes by."""

import hashlib
import hmac
import re
import socket
from ipaddress import ip_address

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
        self._digests = [bytes.fromhex(key.sha256) for key in config.keys]
        self._names = names_of(config)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse.

        Raises:
            RequestError: The key or the host is wrong.
        """
        if scope["type"] == "http":
            headers = Headers.from_scope(scope)
            check_host(self._names, headers.get("host", ""))
            if not scope["route_handler"].opt.get("open"):
                self._check_key(headers)
        await self.app(scope, receive, send)

    def _check_key(self, headers: Headers) -> None:
        if not self._digests:
            return
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        digest = hashlib.sha256(given.encode()).digest()
        # every key is compared, so that the time taken tells nothing
        if not sum(hmac.compare_digest(digest, key) for key in self._digests):
            what = "Incorrect API key provided." if given else "You didn't provide an API key."
            message = f"{what} Send it as 'Authorization: Bearer KEY' or 'X-Api-Key: KEY'."
            raise RequestError(message, code="invalid_api_key")


def names_of(config: ServerConfig) -> frozenset[str] | None:
    """What the Host header may say, beside an address; None: anything.

    Where a key is asked for, a page elsewhere gains nothing by a name of its own, so any name will do.
    """
    if "*" in config.allow_host or (config.keys and not config.allow_host):
        return None
    own = {"localhost", config.host, socket.gethostname()}
    return frozenset(name.lower() for name in {*own, *config.allow_host})


def check_host(names: frozenset[str] | None, header: str) -> None:
    """Refuse a request by another name: a page elsewhere may give its own this machine's address.

    Raises:
        RequestError: The Host header is neither an address nor one of the names.
    """
    name = re.sub(r":\d+$", "", header).lower().strip("[]")
    if names is not None and name not in names and not _is_address(name):
        message = f"This server does not go by the name '{name[:100]}': start it with --allow-host."
        raise RequestError(message, code="host_not_allowed")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
