"""Claude: many questions in batches, few of them one by one."""

from collections.abc import Iterator, Sequence

from steersman_training.labelling.ask import Answer, Ask, Usage
from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.transports.claude_batches import ClaudeBatches
from steersman_training.labelling.transports.one_by_one import OneByOne

MANY = 300
"""From so many questions on a batch's half price is worth its wait."""


class Claude:
    """A transport that chooses between two; what is under way in a batch is always awaited there."""

    name = "claude"

    def __init__(self, batches: ClaudeBatches, messages: OneByOne, ledger: Ledger, many: int = MANY) -> None:
        self.batch_size = batches.batch_size
        self._batches = batches
        self._messages = messages
        self._ledger = ledger
        self._many = many

    def run(self, asks: Sequence[Ask]) -> Iterator[Answer]:
        """Each question's answer once, as they come.

        Raises:
            BudgetError: What remains may cost more than is left.
            BackendError: The service cannot be used now.
        """
        sent = {
            ask
            for submission in self._ledger.open_submissions(self._batches.name)
            for ask in self._ledger.open_asks(submission.id)
        }
        rest = [ask for ask in asks if ask.id not in sent]
        if len(rest) >= self._many:
            yield from self._batches.run(asks)
            return
        if len(rest) < len(asks):
            yield from self._batches.run([ask for ask in asks if ask.id in sent])
        yield from self._messages.run(rest)

    def usd(self, usage: Usage, together: int = 1) -> float:
        """What a request of such a size costs among so many asked together."""
        return self._of(together).usd(usage, together)

    def seconds(self, together: int) -> float:
        """A guess of how long so many questions take."""
        return self._of(together).seconds(together)

    def most_usd(self, ask: Ask) -> float:
        """The most that a question can cost."""
        return self._messages.most_usd(ask)

    def _of(self, together: int) -> ClaudeBatches | OneByOne:
        return self._batches if together >= self._many else self._messages
