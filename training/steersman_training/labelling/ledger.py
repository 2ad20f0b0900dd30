"""The record of every question to a language model, so that none is lost and none is paid for twice.

Whoever sends a request writes here first (`intend`): the request and the most it can cost, in one
transaction. A batch's id is written before anything is asked about the batch (`sent`), and every answer
as it comes (`settle`). After a crash the rows that are still open say exactly what may be under way.
`ledger.sql` says what the states mean. Times are UTC.
"""

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from steersman_training.labelling.ask import Answer, Ask, Usage
from steersman_training.labelling.budget import Budget
from steersman_training.labelling.ledger_lock import owned
from steersman_training.labelling.protocols import Failure

SCHEMA = Path(__file__).with_name("ledger.sql")
ANSWER_COLUMNS = (
    "ask, text, failure, detail, answered_by, stop_reason, request_id, "
    "input_tokens, cache_write_tokens, cache_read_tokens, output_tokens"
)


class Submission(Struct, frozen=True):
    """Questions that were sent together, or are about to be."""

    id: str
    backend: str
    batch: str | None
    num_requests: int
    created: float


class Ledger:
    """One job's ledger; safe to share among threads, owned by one process at a time."""

    def __init__(self, path: Path, max_usd: float) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._owner = owned(path.with_suffix(".lock"))
        self._lock = threading.RLock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # an answer that was paid for survives a power cut
        self._db.executescript(SCHEMA.read_text(encoding="utf-8"))
        self._lose_interrupted()
        self.budget = Budget(max_usd, self.committed_usd())

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._db.close()
        self._owner.close()

    def intend(
        self, backend: str, asks: Sequence[tuple[Ask, float]], *, recoverable: bool = False
    ) -> Submission:
        """Record questions that will be sent now, each with the most it can cost in dollars.

        `recoverable`: the service can be asked for the answers later. Questions of which it cannot are lost
        when this process dies: the next one that opens the ledger records them so.

        Raises:
            BudgetError: They may cost more than what is left; nothing was recorded.
        """
        reserved = sum(usd for _, usd in asks)
        self.budget.reserve(reserved)
        try:
            return self._record(backend, asks, "open", recoverable=recoverable)
        except BaseException:
            self.budget.settle(reserved, 0.0)
            raise

    def export(self, backend: str, asks: Sequence[Ask]) -> Submission:
        """Record questions that were written to a file: whoever answers them pays."""
        return self._record(backend, [(ask, 0.0) for ask in asks], "exported", recoverable=True)

    def sent(self, submission: str, batch: str) -> None:
        """Record by which id the service knows a submission."""
        with self._transaction():
            self._db.execute("UPDATE submissions SET batch = ? WHERE submission = ?", (batch, submission))

    def settle(self, submission: str, answers: Iterable[tuple[Answer, float]]) -> None:
        """Record answers, each with what it cost in dollars; one that is there already changes nothing."""
        freed, paid = 0.0, 0.0
        with self._transaction():
            for answer, usd in answers:
                reserved = self._settle(submission, answer, usd)
                if reserved is not None:
                    freed, paid = freed + reserved, paid + usd
            self._close_if_done(submission)
        self.budget.settle(freed, paid)

    def void(self, submission: str, asks: Iterable[str], why: str) -> None:
        """Record that nothing was billed for questions still open: they may be put again."""
        self.budget.settle(self._end(submission, asks, "void", why), 0.0)

    def lose(self, submission: str, asks: Iterable[str], why: str) -> None:
        """Record that open questions were perhaps billed and cannot be answered any more.

        What was reserved for them stays counted, so that a cap holds in the worst case too.
        """
        self._end(submission, asks, "lost", why)

    def answers(self, asks: Sequence[str]) -> Iterator[Answer]:
        """Those that are there, in no order."""
        for begin in range(0, len(asks), 500):
            part = asks[begin : begin + 500]
            marks = ", ".join("?" * len(part))
            query = f"""SELECT {ANSWER_COLUMNS} FROM requests
                WHERE state IN ('answered', 'failed') AND ask IN ({marks})"""
            yield from [_answer(row) for row in self.rows(query, part)]

    def open_submissions(self, backend: str) -> list[Submission]:
        """Those of which answers may still come, oldest first."""
        query = """SELECT submission, backend, batch, num_requests, created FROM submissions
            WHERE state = 'open' AND backend = ? ORDER BY created"""
        return [Submission(*row) for row in self.rows(query, (backend,))]

    def open_asks(self, submission: str) -> list[str]:
        """Ids of the questions without an answer."""
        query = "SELECT ask FROM requests WHERE submission = ? AND state IN ('open', 'exported')"
        return [ask for (ask,) in self.rows(query, (submission,))]

    def num_puts(self, ask: str) -> int:
        """In how many batches a question came to nothing."""
        query = """SELECT count(*) FROM requests JOIN submissions USING (submission)
            WHERE ask = ? AND batch IS NOT NULL AND requests.state IN ('void', 'lost')"""
        return self.rows(query, (ask,))[0][0]

    def knows_batch(self, batch: str) -> bool:
        """Whether a batch is recorded as one of ours."""
        return bool(self.rows("SELECT 1 FROM submissions WHERE batch = ?", (batch,)))

    def committed_usd(self) -> float:
        """Dollars spent, promised or perhaps spent."""
        query = """SELECT total(CASE WHEN state IN ('open', 'lost') THEN reserved_usd ELSE usd END)
            FROM requests WHERE state <> 'void'"""
        return self.rows(query)[0][0]

    def rows(self, query: str, values: Sequence[object] = ()) -> list[tuple]:
        """All rows of a query; for reading."""
        with self._lock:
            return self._db.execute(query, values).fetchall()

    def _lose_interrupted(self) -> None:
        for (submission,) in self.rows(
            "SELECT submission FROM submissions WHERE state = 'open' AND NOT recoverable"
        ):
            self.lose(submission, self.open_asks(submission), "interrupted")

    def _record(
        self, backend: str, asks: Sequence[tuple[Ask, float]], state: str, *, recoverable: bool
    ) -> Submission:
        now = time.time()
        made = Submission(secrets.token_hex(6), backend, None, len(asks), now)
        rows = [
            (made.id, a.id, a.stage, a.feature, a.model, a.prompt_version, state, usd, now) for a, usd in asks
        ]
        with self._transaction():
            self._db.execute(
                "INSERT INTO submissions VALUES (?, ?, NULL, 'open', ?, ?, ?, NULL)",
                (made.id, backend, recoverable, len(asks), now),
            )
            self._db.executemany(
                """INSERT INTO requests (submission, ask, stage, feature, model, prompt_version, state,
                    reserved_usd, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)""",
                rows,
            )
        return made

    def _settle(self, submission: str, answer: Answer, usd: float) -> float | None:
        """What was reserved, or None where the row is not waiting for an answer."""
        usage, failure = answer.usage, answer.failure
        found = self._db.execute(
            """UPDATE OR IGNORE requests SET state = ?, usd = ?, text = ?, failure = ?, detail = ?,
                answered_by = ?, stop_reason = ?, request_id = ?, input_tokens = ?, cache_write_tokens = ?,
                cache_read_tokens = ?, output_tokens = ?, ended = ?
            WHERE submission = ? AND ask = ? AND state IN ('open', 'exported') RETURNING reserved_usd""",
            (
                "answered" if failure is None else "failed",
                usd,
                answer.text,
                failure.kind if failure else None,
                failure.detail if failure else None,
                answer.model,
                answer.stop_reason,
                answer.request_id,
                usage.input_tokens if usage else None,
                usage.cache_write_tokens if usage else None,
                usage.cache_read_tokens if usage else None,
                usage.output_tokens if usage else None,
                time.time(),
                submission,
                answer.ask,
            ),
        ).fetchall()
        return found[0][0] if found else None

    def _end(self, submission: str, asks: Iterable[str], state: str, why: str) -> float:
        reserved = 0.0
        with self._transaction():
            for ask in asks:
                found = self._db.execute(
                    """UPDATE requests SET state = ?, failure = ?, ended = ?
                    WHERE submission = ? AND ask = ? AND state = 'open' RETURNING reserved_usd""",
                    (state, why, time.time(), submission, ask),
                ).fetchall()
                reserved += found[0][0] if found else 0.0
            self._close_if_done(submission)
        return reserved

    def _close_if_done(self, submission: str) -> None:
        self._db.execute(
            """UPDATE submissions SET state = 'closed', ended = ? WHERE submission = ? AND NOT EXISTS (
                SELECT 1 FROM requests WHERE requests.submission = submissions.submission
                AND requests.state IN ('open', 'exported'))""",
            (time.time(), submission),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")


def _answer(row: tuple) -> Answer:
    ask, text, failure, detail, model, stop_reason, request_id, *tokens = row
    usage = None
    if tokens[0] is not None:
        usage = Usage(
            input_tokens=tokens[0],
            cache_write_tokens=tokens[1],
            cache_read_tokens=tokens[2],
            output_tokens=tokens[3],
        )
    return Answer(
        ask=ask,
        text=text,
        failure=Failure(failure, detail or "") if failure else None,
        model=model or "",
        usage=usage,
        stop_reason=stop_reason or "",
        request_id=request_id or "",
    )
