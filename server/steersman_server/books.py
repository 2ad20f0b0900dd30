"""What is kept of each request when it is over: counts, a line of the log, a record, spans."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from steersman_server.account import Account
from steersman_server.accounting import Book, write_line
from steersman_server.audit_log import AuditLog, open_audit_file
from steersman_server.config import ServerConfig
from steersman_server.metrics import Metrics


class Tracer(Protocol):
    """Makes spans of requests."""

    def record(self, account: Account) -> None:
        """Those of a request that is over."""
        ...

    def close(self) -> None:
        """Send what waits."""
        ...


@dataclass(frozen=True, slots=True)
class Books:
    """Those of one server."""

    all: list[Book]
    closing: list[Callable[[], None]]

    def close(self) -> None:
        """Write what waits. No request may end after."""
        for close in self.closing:
            close()


def open_books(config: ServerConfig, metrics: Metrics, model: str) -> Books:
    """All that the configuration asks for.

    Raises:
        ValueError: The audit log cannot be written, or tracing is not installed.
    """

    def count(account: Account) -> None:
        if account.code is not None:
            metrics.failed(account.code)

    books = Books([count, write_line], [])
    if (file := open_audit_file(config)) is not None:
        audit = AuditLog(file, metrics, with_text=config.audit_text)
        books.all.append(audit.keep)
        books.closing.append(audit.close)
    if config.tracing:
        tracer = open_tracer(model)
        books.all.append(tracer.record)
        books.closing.append(tracer.close)
    return books


def open_tracer(model: str) -> Tracer:
    """A tracer that sends to where OpenTelemetry's variables say.

    Raises:
        ValueError: OpenTelemetry is not installed.
    """
    try:
        from steersman_server.spans import SpanMaker  # an extra
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("opentelemetry"):
            raise
        message = "Tracing is asked for and OpenTelemetry is not installed: pip install 'steersman[otel]'."
        raise ValueError(message) from error
    return SpanMaker(model)
