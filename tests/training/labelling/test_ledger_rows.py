from pathlib import Path

import pytest
from tests.training.labelling.conftest import questions

from steersman_catalog.rows import BatchRow, RequestRow
from steersman_training.labelling.ask import Answer, Usage
from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.ledger_rows import ledger_rows


def test_the_catalogues_copy_says_what_was_asked_and_paid(ledger: Ledger, tmp_path: Path) -> None:
    answered, lost, void = questions(3)
    submission = ledger.intend("claude_batches/m", [(ask, 1.0) for ask in (answered, lost, void)])
    ledger.sent(submission.id, "msgbatch_1")
    usage = Usage(input_tokens=3, output_tokens=4, cache_write_tokens=1, cache_read_tokens=2)
    ledger.settle(submission.id, [(Answer(ask=answered.id, text="{}", usage=usage), 0.25)])
    ledger.lose(submission.id, [lost.id], "gone")
    ledger.void(submission.id, [void.id], "expired")
    found = list(ledger_rows(tmp_path))
    rows = {row.request: row for row in found if isinstance(row, RequestRow)}
    assert [(rows[a.id].status, rows[a.id].usd) for a in (answered, lost, void)] == [
        ("answered", 0.25),
        ("lost", 1.0),
        ("void", 0.0),
    ]
    row = rows[answered.id]
    assert (row.backend, row.batch, row.input_tokens, row.cached_tokens, row.output_tokens) == (
        "claude_batches",
        "msgbatch_1",
        6,
        2,
        4,
    )
    (batch,) = (row for row in found if isinstance(row, BatchRow))
    assert (batch.status, batch.num_requests, batch.reserved_usd) == ("closed", 3, 3.0)
    assert batch.usd == pytest.approx(0.25)
