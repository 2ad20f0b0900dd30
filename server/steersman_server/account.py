"""What is known of one request while it is carried out: who asks, and what it reads and writes."""

import time
from dataclasses import dataclass, field
from typing import Any

from litestar import Request

from steersman_server.answers.work import Work
from steersman_server.rates import Caller


@dataclass(slots=True)
class Account:
    """One request; its handler fills in what it does."""

    arrived_s: float = field(default_factory=time.perf_counter)
    caller: Caller | None = None
    """None where no key is asked for, and before one was found."""
    work: Work | None = None
    """The answers, if it makes any."""
    num_read: int = 0
    """Prompt tokens."""

    def begin(self, work: Work) -> None:
        """Answers are about to be made."""
        self.work = work
        self.read(sum(len(plan.prompt) for plan in work.plans))

    def read(self, num_tokens: int) -> None:
        """So many tokens of a prompt or a text are about to be read."""
        self.num_read += num_tokens
        if self.caller is not None:
            self.caller.spend(num_tokens)

    @property
    def num_written(self) -> int:
        """Tokens of answers so far."""
        return sum(answer.num_tokens for answer in self.work.answers) if self.work else 0

    def close(self) -> None:
        """The request is over, well or not."""
        if self.caller is not None:
            self.caller.spend(self.num_written)


def account_of(request: Request[Any, Any, Any]) -> Account:
    """The account of a request."""
    return request.scope["state"]["account"]
