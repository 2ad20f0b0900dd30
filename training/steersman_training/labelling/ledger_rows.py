"""The ledger as the catalogue keeps it: what was asked, of whom, and what it cost."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from steersman_catalog.rows import BatchRow, RequestRow

LEDGER_FILE = "requests.sqlite"
"""In a job's folder."""


def ledger_rows(folder: Path) -> Iterator[RequestRow | BatchRow]:
    """All of a job's ledger, which another may be writing; nothing of a job without one."""
    path = folder / LEDGER_FILE
    if path.is_file():
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as ledger:
            yield from request_rows(ledger)
            yield from batch_rows(ledger)


def request_rows(ledger: sqlite3.Connection) -> list[RequestRow]:
    """Every time that a question was put."""
    query = """SELECT ask, stage, backend, model, feature, batch, requests.state, stop_reason, failure,
            input_tokens + cache_write_tokens + cache_read_tokens, cache_read_tokens, output_tokens,
            CASE WHEN requests.state IN ('open', 'lost') THEN reserved_usd ELSE coalesce(usd, 0) END,
            requests.created
        FROM requests JOIN submissions USING (submission) ORDER BY requests.created, ask"""
    return [
        RequestRow(
            request=ask,
            stage=stage,
            backend=backend.partition("/")[0],
            model=model,
            feature=feature,
            batch=batch,
            status=status,
            stop_reason=stop_reason,
            failure=failure,
            input_tokens=inputs,
            cached_tokens=cached,
            output_tokens=outputs,
            usd=usd,
            created=_moment(created),
        )
        for (
            ask,
            stage,
            backend,
            model,
            feature,
            batch,
            status,
            stop_reason,
            failure,
            inputs,
            cached,
            outputs,
            usd,
            created,
        ) in ledger.execute(query)
    ]


def batch_rows(ledger: sqlite3.Connection) -> list[BatchRow]:
    """The batches, with what was reserved for them and what they cost."""
    query = """SELECT batch, backend, submissions.state, num_requests, submissions.created, submissions.ended,
            sum(reserved_usd), total(usd)
        FROM submissions JOIN requests USING (submission) WHERE batch IS NOT NULL
        GROUP BY submission ORDER BY submissions.created"""
    return [
        BatchRow(
            batch=batch,
            backend=backend.partition("/")[0],
            status=status,
            num_requests=num_requests,
            submitted=_moment(created),
            ended=None if ended is None else _moment(ended),
            reserved_usd=reserved,
            usd=usd,
        )
        for batch, backend, status, num_requests, created, ended, reserved, usd in ledger.execute(query)
    ]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None, microsecond=0)
