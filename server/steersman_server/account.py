"""What is known of one request while it is carried out, and of which nothing is said until it is over."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from litestar import Request
from litestar.types import HTTPScope
from msgspec import Struct

from steersman_server.answers.work import Work
from steersman_server.auth import ANYBODY
from steersman_server.errors import RequestError, describe, log_if_unexpected
from steersman_server.rates import Caller
from steersman_server.served import ServedModel


@dataclass(slots=True)
class Whose:
    """Whose request this is, for the log. The engine's thread may hold it for long, so it holds little."""

    request_id: str
    caller: Caller | None = None
    """None where no key is asked for, and before one was found."""

    @property
    def key(self) -> str | None:
        """The name of the key that it came with, if one was asked for and found."""
        return self.caller.key.name if self.caller and self.caller.key is not ANYBODY else None


WHOSE: ContextVar[Whose | None] = ContextVar("whose", default=None)
"""Whose request this code works for."""


@dataclass(slots=True)
class Account:
    """One request; whoever handles it fills in what it does. Times are `time.monotonic`'s, but for `at`."""

    scope: HTTPScope
    whose: Whose
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    arrived_s: float = field(default_factory=time.monotonic)
    ended_s: float = 0.0
    served: ServedModel | None = None
    """What answers it."""
    asked: Struct | None = None
    """Its body, if that could be read."""
    work: Work | None = None
    """The answers, if it makes any."""
    num_read: int = 0
    """Prompt tokens."""
    status: int | None = None
    """Of the answer, once it has begun."""
    code: str | None = None
    """Of the error it ended with."""
    param: str | None = None
    """The field that was to blame for it."""
    timed: list[tuple[str, float, float]] = field(default_factory=list)
    """Parts of the work by name, begin and end."""

    @property
    def request_id(self) -> str:
        """Its id."""
        return self.whose.request_id

    @property
    def caller(self) -> Caller | None:
        """Who asks; None where no key is asked for, and before one was found."""
        return self.whose.caller

    @property
    def method(self) -> str:
        """`POST`, say."""
        return str(self.scope["method"])

    @property
    def route(self) -> str | None:
        """The path, with its parameters' names for them; None if there is no such path."""
        known = self.scope.get("route_handler") is not None
        return self.scope.get("path_template", "") if known else None

    @property
    def num_written(self) -> int:
        """Tokens of answers so far."""
        return sum(answer.num_tokens for answer in self.work.answers) if self.work else 0

    def begin(self, work: Work) -> None:
        """Answers are about to be made."""
        self.work = work
        self.read(sum(len(plan.prompt) for plan in work.plans))

    def read(self, num_tokens: int) -> None:
        """So many tokens of a prompt or a text are about to be read."""
        self.num_read += num_tokens
        if self.caller is not None:
            self.caller.spend(num_tokens)

    def fail(self, error: Exception) -> None:
        """It ended with this error, of which the log is told if it is the server's own fault."""
        described = describe(error)[1]
        self.code = described.code
        self.param = error.param if isinstance(error, RequestError) else None
        log_if_unexpected(error, self.request_id)

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        """Time a part of the work."""
        began = time.monotonic()
        try:
            yield
        finally:
            self.timed.append((name, began, time.monotonic()))

    def close(self) -> None:
        """The request is over, well or not."""
        self.ended_s = time.monotonic()
        if self.caller is not None:
            self.caller.spend(self.num_written)


def account_of(request: Request[Any, Any, Any]) -> Account:
    """The account of a request."""
    return request.scope["state"]["account"]
