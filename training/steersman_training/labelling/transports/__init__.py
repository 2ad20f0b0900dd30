"""Ways for questions to reach a language model.

A transport takes questions that the ledger has no answer for and yields an answer for each, in any order.
What it sends it records in the ledger first; what comes back it records before it yields it.
"""

from collections.abc import Iterator, Sequence
from typing import Protocol

from steersman_training.labelling.ask import Answer, Ask, Usage


class Transport(Protocol):
    """Carries questions to one model."""

    name: str
    """Stored in the ledger: `claude_batches/claude-haiku-5-5`, ..."""
    batch_size: int
    """How many questions it likes to get at once."""

    def run(self, asks: Sequence[Ask]) -> Iterator[Answer]:
        """Each question's answer once, as they come.

        Raises:
            BudgetError: What remains may cost more than is left.
            BackendError: The service cannot be used now; what was answered is recorded.
        """
        ...

    def usd(self, usage: Usage, together: int = 1) -> float:
        """What a request of such a size costs among so many asked together."""
        ...

    def seconds(self, together: int) -> float:
        """A guess of how long so many questions take."""
        ...

    def most_usd(self, ask: Ask) -> float:
        """The most that a question can cost."""
        ...


class BackendError(RuntimeError):
    """The service cannot be used now, for a reason that concerns all questions; the job can be resumed."""


class TurnedAwayError(RuntimeError):
    """A request was certainly not carried out, and nothing billed; it may be sent again."""

    def __init__(self, why: str, wait_s: float | None = None) -> None:
        super().__init__(why)
        self.wait_s = wait_s
        """As the service asked; None if it did not."""


class UnsureError(RuntimeError):
    """A request was sent and its answer never came whole: it may have been carried out, and billed."""
