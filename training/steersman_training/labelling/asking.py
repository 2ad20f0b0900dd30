"""Questions in, data out: what is known comes from the ledger, the rest through a transport."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

from steersman_training.labelling.ask import Answer, Ask, follow_up, read_answer
from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.protocols import Failure
from steersman_training.labelling.transports import Transport

T = TypeVar("T")


class Asker:
    """Asks each question once, and once more where that can help."""

    def __init__(self, ledger: Ledger, transport: Transport) -> None:
        self.ledger = ledger
        self.transport = transport

    def ask(self, asks: Sequence[Ask], kind: type[T]) -> Iterator[tuple[str, T | Failure, str]]:
        """Each question's id once, with its data or why there is none, and the model that answered.

        A cut or malformed answer is asked for again, once (`follow_up`).

        Raises:
            BudgetError: What remains may cost more than is left; what was answered is kept.
            BackendError: The service cannot be used now; likewise.
        """
        first_of: dict[str, str] = {}
        current = {ask.id: ask for ask in asks}
        again: dict[str, Ask] = {}
        for answer in self._answers(list(current.values())):
            data = read_answer(answer, kind)
            more = follow_up(current[answer.ask], answer, data) if isinstance(data, Failure) else None
            if more is None:
                yield answer.ask, data, answer.model
            else:
                again[more.id] = more
                first_of[more.id] = answer.ask
        for answer in self._answers(list(again.values())):
            yield first_of[answer.ask], read_answer(answer, kind), answer.model

    def _answers(self, asks: Sequence[Ask]) -> Iterator[Answer]:
        known = set[str]()
        for answer in self.ledger.answers([ask.id for ask in asks]):
            known.add(answer.ask)
            yield answer
        unknown = [ask for ask in asks if ask.id not in known]
        if unknown:
            yield from self.transport.run(unknown)
