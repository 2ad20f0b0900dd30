"""Who may ask: those with an API key, under a name that this server goes by."""

import hashlib
import hmac
import re
import socket
from ipaddress import ip_address
from typing import get_args

from litestar.datastructures import Headers
from litestar.types import ASGIApp, Receive, Scope, Send

from steersman_engine.engine import EngineClosedError
from steersman_server.config import ServerConfig
from steersman_server.errors import RequestError
from steersman_server.keys import ApiKey, Role
from steersman_server.rates import Caller

ROLES: tuple[Role, ...] = get_args(Role)
OPEN = {"role": None}
"""The `opt` of a handler that asks for no key: an orchestrator's health checks, a page that asks for it."""
ANYBODY = ApiKey(name="anybody", sha256="")
"""Who asks where no key is asked for; it may do everything."""


class Callers:
    """Those who may ask, by their keys."""

    def __init__(self, config: ServerConfig) -> None:
        self._names = names_of(config)
        self._known = [(bytes.fromhex(key.sha256), Caller(key, config)) for key in config.keys]
        self._anybody = Caller(ANYBODY, ServerConfig(max_concurrent=None))

    def find(self, headers: Headers) -> Caller:
        """Who sent these headers.

        Raises:
            RequestError: The key is none of those known.
        """
        if not self._known:
            return self._anybody
        scheme, _, token = headers.get("authorization", "").partition(" ")
        given = token.strip() if scheme.lower() == "bearer" else headers.get("x-api-key", "")
        digest = hashlib.sha256(given.encode()).digest()
        # every key is compared, so that the time taken tells nothing
        found = [caller for known, caller in self._known if hmac.compare_digest(digest, known)]
        if not found:
            what = "Incorrect API key provided." if given else "You didn't provide an API key."
            message = f"{what} Send it as 'Authorization: Bearer KEY' or 'X-Api-Key: KEY'."
            raise RequestError(message, code="invalid_api_key")
        return found[0]

    def check_host(self, header: str) -> None:
        """Refuse a request by a name that is not this server's.

        Raises:
            RequestError: It is.
        """
        check_host(self._names, header)


class Gate:
    """Middleware that lets in who may ask, as often as they may."""

    def __init__(self, app: ASGIApp, callers: Callers) -> None:
        self.app = app
        self._callers = callers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or refuse.

        Raises:
            RequestError: The key or the host is wrong, or there are too many requests.
            EngineClosedError: The server stops.
        """
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if scope["state"].get("is_late"):
            raise EngineClosedError("The server stops.")
        headers = Headers.from_scope(scope)
        self._callers.check_host(headers.get("host", ""))
        role = scope["route_handler"].opt.get("role", "admin")
        if role is None:
            await self.app(scope, receive, send)
            return
        caller = self._callers.find(headers)
        scope["state"]["account"].whose.caller = caller
        check_role(caller, role)
        with caller.asking():
            await self.app(scope, receive, send)


def check_role(caller: Caller, role: Role, param: str | None = None) -> None:
    """Refuse what is beyond a key's role; `param`: the field that asks for it.

    Raises:
        RequestError: It is.
    """
    if ROLES.index(caller.key.role) < ROLES.index(role):
        what = f"use '{param}'" if param else "ask for this"
        message = f"The key '{caller.key.name}' has the role '{caller.key.role}'; to {what} needs '{role}'."
        raise RequestError(message, param=param, code="key_not_allowed")


def is_moderated(scope: Scope) -> bool:
    """Whether moderation applies to who asks."""
    caller: Caller | None = scope["state"]["account"].caller
    return caller is None or caller.key.moderated


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
