"""The outermost layer: an account of every request is kept, and closed when it is over."""

import logging
from collections.abc import Callable, Sequence
from urllib.parse import quote

from litestar.types import ASGIApp, Receive, Scope, Send

from steersman_server.account import WHOSE, Account, Whose
from steersman_server.config import ServerConfig
from steersman_server.disconnect import impatient
from steersman_server.request_ids import request_id

log = logging.getLogger(__name__)

POLLED = ("/health", "/ready", "/metrics")
"""Paths that monitors ask for again and again."""

Book = Callable[[Account], None]
"""Keeps something of a request that is over; must not take long."""


def accounting(app: ASGIApp, config: ServerConfig, books: Sequence[Book]) -> ASGIApp:
    """`app`, which waits for no client for ever, and of whose requests the books are told."""

    async def accounted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        whose = Whose(request_id(scope))
        account = scope["state"]["account"] = Account(scope, whose)
        before = WHOSE.set(whose)
        try:
            await app(scope, *impatient(receive, send, config.client_timeout_s))
        except Exception as error:  # after the answer had begun
            account.fail(error)
            raise
        finally:
            account.close()
            for book in books:
                try:
                    book(account)
                except Exception:
                    log.exception("Something of the request could not be kept.")
            WHOSE.reset(before)
            del scope["state"]["account"]  # an idle connection keeps its last scope

    return accounted


async def notice(error: Exception, scope: Scope) -> None:
    """Litestar's `after_exception` hook: put down what becomes an answer with an error."""
    if scope["type"] == "http":
        scope["state"]["account"].fail(error)


def write_line(account: Account) -> None:
    """A book: a line of the log."""
    level = logging.DEBUG if account.scope["path"] in POLLED else logging.INFO
    if not log.isEnabledFor(level):
        return
    line = {
        "method": account.method,
        "path": quote(account.scope["path"][:200]),
        "status": account.status,
        "code": account.code,
        "seconds": round(account.ended_s - account.arrived_s, 4),
        "tokens_read": account.num_read,
        "tokens_written": account.num_written,
    }
    told = " ".join(str(value) for value in (line["status"], line["code"]) if value is not None)
    message = f"{line['method']} {line['path']}: {told}, {line['seconds']} s"
    log.log(level, message, extra={"fields": line})
