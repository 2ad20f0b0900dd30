"""The ledger as the catalogue keeps it: what was asked, of whom, and what it cost."""

from datetime import UTC, datetime

from steersman_catalog.rows import BatchRow, RequestRow
from steersman_training.labelling.ledger import Ledger


def request_rows(ledger: Ledger) -> list[RequestRow]:
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
        ) in ledger.rows(query)
    ]


def batch_rows(ledger: Ledger) -> list[BatchRow]:
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
        for batch, backend, status, num_requests, created, ended, reserved, usd in ledger.rows(query)
    ]


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None, microsecond=0)
