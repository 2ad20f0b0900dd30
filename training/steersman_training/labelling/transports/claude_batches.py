"""Claude by Message Batches: half the price, answers within a day, and nothing lost between.

The service knows a batch by its own id, which a crash between sending and receiving leaves unknown here.
So each request carries an id that begins with its submission's, which is recorded before sending. After
such a crash, or a connection that broke, the batches made since are listed: one of the same size that
nobody knows may be ours, and its first result tells. Only when there is none is the submission sent again.
"""

import time
from collections import defaultdict, deque
from collections.abc import Generator, Iterator, Sequence
from datetime import UTC, datetime

import anthropic
from anthropic.types.messages import MessageBatch, MessageBatchIndividualResponse

from steersman_training.labelling.ask import Answer, Ask, Usage, size_in_bytes
from steersman_training.labelling.budget import BudgetError
from steersman_training.labelling.ledger import Ledger, Submission
from steersman_training.labelling.prices import Price
from steersman_training.labelling.protocols import Failure
from steersman_training.labelling.transports import BackendError, UnsureError
from steersman_training.labelling.transports.claude_batch_service import (
    MAX_TRIES,
    BatchGoneError,
    BatchService,
    pause,
)
from steersman_training.labelling.transports.claude_errors import MalformedError
from steersman_training.labelling.transports.claude_model import ClaudeModel, read_message

MAX_REQUESTS = 10_000
MAX_BYTES = 200_000_000
"""A batch; the service allows 100,000 requests and 256 MB."""
MAX_PUTS = 3
"""How often a question is put before it counts as expired."""
SKEW_S = 900.0
"""By how much the service's clock may differ from ours."""
WRITTEN = 200
"""Answers recorded in one transaction."""
SMALL = 100
"""While others are under way, no batch is smaller than this for want of money: better wait for them."""


class ClaudeBatches:
    """A transport. `settle_s`: how long after a broken submission a batch may still appear in the list."""

    batch_size = MAX_REQUESTS

    def __init__(
        self,
        client: anthropic.Anthropic,
        model: ClaudeModel,
        price: Price,
        ledger: Ledger,
        *,
        poll_s: float = 30.0,
        settle_s: float = 60.0,
    ) -> None:
        self.name = f"claude_batches/{model.id}"
        self._service = BatchService(client)
        self._model = model
        self._price = price
        self._ledger = ledger
        self._poll_s = poll_s
        self._settle_s = settle_s

    def usd(self, usage: Usage, together: int = 1) -> float:
        """What a request of such a size costs."""
        return self._price.usd(usage, cache="1h", batch=True)

    def seconds(self, together: int) -> float:
        """A guess: batches go on side by side, and most end within an hour; some take up to a day."""
        return 3600.0

    def most_usd(self, ask: Ask) -> float:
        """The most that a question can cost."""
        room = self._model.max_tokens_for(ask)
        return self._price.most(ask, max_tokens=room, cache="1h", batch=True)

    def run(self, asks: Sequence[Ask]) -> Generator[Answer]:
        """Each question's answer once, batch by batch.

        Stopping early loses nothing: the batches go on at the service, and the next run collects them.

        Raises:
            BudgetError: What remains may cost more than is left.
            BackendError: The service cannot be used now.
        """
        wanted = {ask.id: ask for ask in asks}
        under_way = self._resumed()
        asked = {ask for submission, _ in under_way for ask in self._ledger.open_asks(submission.id)}
        queue = deque(ask for ask in wanted.values() if ask.id not in asked)
        while queue or under_way:
            while queue and (chunk := self._chunk(queue, waiting=bool(under_way))):
                under_way.append(self._submit(chunk))
                for _ in chunk:
                    queue.popleft()
            ended = [one for one in under_way if self._service.has_ended(one[1])]
            for one in ended:
                under_way.remove(one)
                yield from self._collect(*one, wanted, queue)
            if under_way and not ended:
                time.sleep(self._poll_s)

    def _resumed(self) -> list[tuple[Submission, str]]:
        """What earlier runs sent, with the batches' ids."""
        found = []
        for submission in self._ledger.open_submissions(self.name):
            batch = submission.batch or self._find(submission, submission.created)
            if batch is None:
                self._ledger.void(submission.id, self._ledger.open_asks(submission.id), "never sent")
            else:
                found.append((submission, batch))
        return found

    def _chunk(self, queue: deque[Ask], *, waiting: bool) -> list[tuple[Ask, float]]:
        """The next batch, as much as may be paid for; nothing if that should wait until others settle."""
        chunk: list[tuple[Ask, float]] = []
        usd, size = 0.0, 0
        for ask in queue:
            most, long = self.most_usd(ask), size_in_bytes(ask) + 1000
            if not self._ledger.budget.fits(usd + most):
                if waiting and len(chunk) < SMALL:
                    return []
                break
            if len(chunk) == MAX_REQUESTS or size + long > MAX_BYTES:
                break
            chunk.append((ask, most))
            usd, size = usd + most, size + long
        if not chunk:
            budget = self._ledger.budget
            raise BudgetError(self.most_usd(queue[0]), budget.committed, budget.max_usd)
        return chunk

    def _submit(self, chunk: list[tuple[Ask, float]]) -> tuple[Submission, str]:
        """Record, send, record the batch's id."""
        submission = self._ledger.intend(self.name, chunk, recoverable=True)
        requests = [
            {"custom_id": f"{submission.id}_{ask.id}", "params": self._model.params(ask, "1h")}
            for ask, _ in chunk
        ]
        trouble: Exception | None = None
        for attempt in range(MAX_TRIES):
            if trouble is not None:
                time.sleep(pause(trouble, attempt))
            sent = time.time()
            made = self._service.create(requests)
            if isinstance(made, UnsureError):
                found = self._find(submission, sent)
                made = made if found is None else found
            if isinstance(made, str):
                self._ledger.sent(submission.id, made)
                return submission, made
            trouble = made
            if isinstance(trouble, BackendError | MalformedError):
                break
        self._ledger.void(submission.id, [ask.id for ask, _ in chunk], f"not sent: {trouble}")
        raise BackendError(f"The batch could not be sent: {trouble}") from trouble

    def _find(self, submission: Submission, sent: float) -> str | None:
        """The batch that an interrupted submission became, if it became one."""
        time.sleep(max(0.0, sent + self._settle_s - time.time()))
        since = datetime.fromtimestamp(submission.created - SKEW_S, UTC)
        for candidate in self._service.made_since(since):
            if _size(candidate) != submission.num_requests or self._ledger.knows_batch(candidate.id):
                continue
            while not self._service.has_ended(candidate.id):
                time.sleep(self._poll_s)
            try:
                if self._service.first_id(candidate.id).startswith(f"{submission.id}_"):
                    self._ledger.sent(submission.id, candidate.id)
                    return candidate.id
            except BatchGoneError:
                continue
        return None

    def _collect(
        self, submission: Submission, batch: str, wanted: dict[str, Ask], queue: deque[Ask]
    ) -> Iterator[Answer]:
        """Record all results, then yield the answers; what came to nothing goes back to the queue."""
        waiting = self._ledger.open_asks(submission.id)
        mine = [ask for ask in waiting if ask in wanted]
        errors = self._record(submission, batch)
        if len(errors) == len(waiting) > 1:
            raise BackendError(f"All of {batch} was refused as wrong: {next(iter(errors.values()))}")
        answers = {answer.ask: answer for answer in self._ledger.answers(mine)}
        for ask in mine:
            if ask in answers:
                yield answers[ask]
            elif ask in errors:
                yield Answer(ask=ask, failure=Failure("error", errors[ask]))
            elif self._ledger.num_puts(ask) >= MAX_PUTS:
                yield Answer(ask=ask, failure=Failure("expired", f"came to nothing {MAX_PUTS} times"))
            else:
                queue.append(wanted[ask])

    def _record(self, submission: Submission, batch: str) -> dict[str, str]:
        """A batch's results into the ledger; what was refused as malformed, and why."""
        errors: dict[str, str] = {}

        def read(lines: Iterator[MessageBatchIndividualResponse]) -> None:  # again and again changes nothing
            done: list[tuple[Answer, float]] = []
            for line in lines:
                ask, result = line.custom_id.removeprefix(f"{submission.id}_"), line.result
                if result.type == "succeeded":
                    answer = read_message(ask, result.message)
                    done.append((answer, self.usd(answer.usage) if answer.usage else 0.0))
                elif result.type == "errored" and result.error.error.type == "invalid_request_error":
                    errors[ask] = result.error.error.message
                if len(done) == WRITTEN:
                    self._ledger.settle(submission.id, done)
                    done = []
            self._ledger.settle(submission.id, done)

        try:
            self._service.read_results(batch, read)
        except BatchGoneError as error:
            self._ledger.lose(submission.id, self._ledger.open_asks(submission.id), str(error))
        by_reason = defaultdict[str, list[str]](list)
        for ask, why in errors.items():
            by_reason[why].append(ask)
        for why, asks in by_reason.items():
            self._ledger.void(submission.id, asks, why)
        self._ledger.void(submission.id, self._ledger.open_asks(submission.id), "expired, or failed there")
        return errors


def _size(batch: MessageBatch) -> int:
    counts = batch.request_counts
    return counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
