from pathlib import Path

import pytest
from tests.training.labelling.conftest import question, questions

from steersman_training.labelling.ask import Answer, Usage
from steersman_training.labelling.budget import BudgetError
from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.ledger_lock import LedgerBusyError
from steersman_training.labelling.protocols import Failure

USAGE = Usage(input_tokens=3, output_tokens=4, cache_write_tokens=1, cache_read_tokens=2)


def test_the_same_question_has_the_same_id_and_another_has_not() -> None:
    assert question(1).id == question(1).id
    assert len({question(1).id, question(2).id, question(1, "Who?").id, question(1, max_tokens=9).id}) == 4


def test_an_answer_comes_back_as_it_went_in(ledger: Ledger) -> None:
    made = Answer(
        ask=question(0).id, text="{}", model="m", usage=USAGE, stop_reason="end_turn", request_id="r"
    )
    submission = ledger.intend("b", [(question(0), 1.0)])
    ledger.settle(submission.id, [(made, 0.25)])
    assert list(ledger.answers([question(0).id])) == [made]
    assert ledger.open_submissions("b") == []


def test_a_failure_stands_as_an_answer_does(ledger: Ledger) -> None:
    made = Answer(ask=question(0).id, failure=Failure("refused", "bio"), usage=USAGE)
    submission = ledger.intend("b", [(question(0), 1.0)])
    ledger.settle(submission.id, [(made, 0.25)])
    assert list(ledger.answers([question(0).id])) == [made]


def test_a_question_under_way_cannot_be_put_a_second_time(ledger: Ledger) -> None:
    ledger.intend("b", [(question(0), 1.0)])
    with pytest.raises(Exception, match="UNIQUE"):
        ledger.intend("b", [(question(1), 1.0), (question(0), 1.0)])
    assert ledger.budget.committed == pytest.approx(1.0)
    assert ledger.open_asks(ledger.open_submissions("b")[0].id) == [question(0).id]


def test_a_second_answer_changes_and_costs_nothing(ledger: Ledger) -> None:
    submission = ledger.intend("b", [(question(0), 1.0)])
    first, second = (Answer(ask=question(0).id, text=text, usage=USAGE) for text in ("1", "2"))
    ledger.settle(submission.id, [(first, 0.5)])
    ledger.settle(submission.id, [(second, 0.5)])
    assert [answer.text for answer in ledger.answers([question(0).id])] == ["1"]
    assert ledger.budget.committed == pytest.approx(0.5)


def test_over_the_cap_nothing_is_recorded(ledger: Ledger) -> None:
    ledger.budget.max_usd = 1.0
    ledger.intend("b", [(question(0), 0.75)])
    with pytest.raises(BudgetError):
        ledger.intend("b", [(question(1), 0.5)])
    assert ledger.rows("SELECT count(*) FROM requests") == [(1,)]


def test_what_is_void_is_free_again_and_what_is_lost_is_not(ledger: Ledger) -> None:
    submission = ledger.intend("b", [(ask, 1.0) for ask in questions(3)])
    ledger.void(submission.id, [question(0).id], "expired")
    ledger.lose(submission.id, [question(1).id], "interrupted")
    assert (ledger.committed_usd(), ledger.budget.committed) == (2.0, 2.0)
    ledger.intend("b", [(question(0), 1.0), (question(1), 1.0)])


def test_what_was_spent_is_known_to_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    with Ledger(path, max_usd=5.0) as ledger:
        submission = ledger.intend("b", [(ask, 1.0) for ask in questions(2)])
        ledger.settle(submission.id, [(Answer(ask=question(0).id, text="{}", usage=USAGE), 0.5)])
    with Ledger(path, max_usd=5.0) as ledger:
        assert ledger.budget.committed == pytest.approx(1.5)


def test_two_processes_cannot_work_on_one_job(tmp_path: Path) -> None:
    with Ledger(tmp_path / "l.sqlite", 1.0), pytest.raises(LedgerBusyError, match="Another process"):
        Ledger(tmp_path / "l.sqlite", 1.0)
