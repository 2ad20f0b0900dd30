"""Requests sent each for itself, a few at a time."""

import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Protocol

from steersman.retries import delay_after_failure
from steersman_training.labelling.ask import Answer, Ask, Usage
from steersman_training.labelling.budget import BudgetError
from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.transports import BackendError, TurnedAwayError, UnsureError

MAX_TURNED_AWAY = 12
"""How often one question may be turned away: with doubling pauses, some ten minutes of overload."""
MAX_UNSURE = 3
"""How often one question may be lost on the way: each time may have been billed."""
MAX_ERRORS = 10
"""Errors in a row, without an answer among them, that are taken for an error of all questions."""
MAX_PAUSE_S = 120.0


class Endpoint(Protocol):
    """Asks one question and waits for the answer."""

    name: str

    def send(self, ask: Ask) -> Answer:
        """The answer; a question that the service finds malformed is an answer, too: a failure `error`.

        Raises:
            TurnedAwayError: Nothing was done.
            UnsureError: Something may have been.
            BackendError: No question will be answered now.
        """
        ...

    def usd(self, usage: Usage) -> float:
        """What a request of such a size costs."""
        ...

    def most_usd(self, ask: Ask) -> float:
        """The most that a question can cost."""
        ...


class OneByOne:
    """A transport over an endpoint that answers while one waits.

    Such services do not say afterwards what they answered. So a request that was under way when the process
    died, or whose answer broke off, is recorded as lost, counted with the most it can have cost, and sent
    again. At most `concurrency` of them are lost in a crash.
    """

    batch_size = 256

    def __init__(self, endpoint: Endpoint, ledger: Ledger, concurrency: int = 8) -> None:
        self.name = endpoint.name
        self._endpoint = endpoint
        self._ledger = ledger
        self._concurrency = concurrency

    def usd(self, usage: Usage, together: int = 1) -> float:
        """What a request of such a size costs."""
        return self._endpoint.usd(usage)

    def seconds(self, together: int) -> float:
        """A guess: two seconds an answer."""
        return 2.0 * together / self._concurrency

    def most_usd(self, ask: Ask) -> float:
        """The most that a question can cost."""
        return self._endpoint.most_usd(ask)

    def run(self, asks: Sequence[Ask]) -> Iterator[Answer]:
        """Each question's answer once, as they come.

        Raises:
            BudgetError: What remains may cost more than is left.
            BackendError: The service cannot be used now.
        """
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="ask")
        try:
            yield from self._run(pool, deque(asks))
        finally:
            pool.shutdown(wait=True)  # what is under way was paid for: each thread records its answer

    def _run(self, pool: ThreadPoolExecutor, queue: deque[Ask]) -> Iterator[Answer]:
        under_way: dict[Future[Answer | TurnedAwayError | UnsureError], Ask] = {}
        turned_away, unsure = Counter[str](), Counter[str]()
        pause_until, errors = 0.0, 0
        while queue or under_way:
            while queue and len(under_way) < self._concurrency and time.monotonic() >= pause_until:
                try:
                    submission = self._ledger.intend(self.name, [(queue[0], self.most_usd(queue[0]))])
                except BudgetError:
                    if not under_way:
                        raise
                    break  # what is under way will cost less than was reserved for it
                ask = queue.popleft()
                under_way[pool.submit(self._attempt, submission.id, ask)] = ask
            if not under_way:
                time.sleep(max(0.0, pause_until - time.monotonic()))
                continue
            pause = max(0.05, pause_until - time.monotonic()) if queue else None
            done, _ = wait(under_way, timeout=pause, return_when=FIRST_COMPLETED)
            for future in done:
                ask, outcome = under_way.pop(future), future.result()
                if isinstance(outcome, Answer):
                    errors = errors + 1 if _is_error(outcome) else 0
                    if errors == MAX_ERRORS:
                        raise BackendError(
                            f"{errors} questions in a row were refused as wrong: {outcome.failure}"
                        )
                    yield outcome
                    continue
                tries = turned_away if isinstance(outcome, TurnedAwayError) else unsure
                tries[ask.id] += 1
                if tries[ask.id] >= (MAX_TURNED_AWAY if tries is turned_away else MAX_UNSURE):
                    raise BackendError(f"{outcome} (tried {tries[ask.id]} times)") from outcome
                pause_until = max(pause_until, time.monotonic() + _pause(outcome, tries[ask.id]))
                queue.append(ask)

    def _attempt(self, submission: str, ask: Ask) -> Answer | TurnedAwayError | UnsureError:
        """Send once, and record what came of it."""
        try:
            answer = self._endpoint.send(ask)
        except UnsureError as error:
            self._ledger.lose(submission, [ask.id], str(error))
            return error
        except TurnedAwayError as error:
            self._ledger.void(submission, [ask.id], str(error))
            return error
        except BackendError as error:
            self._ledger.void(submission, [ask.id], str(error))
            raise
        if _is_error(answer):
            self._ledger.void(submission, [ask.id], str(answer.failure))  # not billed, so it may be put again
        else:
            usd = self.usd(answer.usage) if answer.usage else self.most_usd(ask)
            self._ledger.settle(submission, [(answer, usd)])
        return answer


def _is_error(answer: Answer) -> bool:
    return answer.failure is not None and answer.failure.kind == "error"


def _pause(outcome: TurnedAwayError | UnsureError, tries: int) -> float:
    asked = outcome.wait_s if isinstance(outcome, TurnedAwayError) else None
    if asked is None:
        asked = delay_after_failure(tries - 1) * (4 if tries > 4 else 1)
    return min(asked, MAX_PAUSE_S)
