"""Message Batches through the real SDK: nothing is lost, and nothing is paid for twice."""

import anthropic
import pytest
from tests.training.labelling.conftest import MODEL, PRICE, question, questions
from tests.training.labelling.fake_llm_server import FakeLLM, Reply

from steersman_training.labelling.budget import BudgetError
from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.protocols import Failure
from steersman_training.labelling.transports import BackendError
from steersman_training.labelling.transports.claude_batches import ClaudeBatches
from steersman_training.labelling.transports.claude_model import ClaudeModel


def transport(client: anthropic.Anthropic, ledger: Ledger) -> ClaudeBatches:
    return ClaudeBatches(client, ClaudeModel(id=MODEL), PRICE, ledger, poll_s=0.01, settle_s=0.0)


@pytest.fixture
def batches(client: anthropic.Anthropic, ledger: Ledger) -> ClaudeBatches:
    return transport(client, ledger)


def test_every_question_of_a_batch_is_answered(llm: FakeLLM, batches: ClaudeBatches, ledger: Ledger) -> None:
    asks = questions(5)
    answers = {answer.ask: answer for answer in batches.run(asks)}
    assert answers.keys() == {ask.id for ask in asks}
    assert {answer.text for answer in answers.values()} == {'{"choice": "A"}'}
    assert set(llm.billed.values()) == {1}


def test_a_batch_is_paid_at_its_own_price(batches: ClaudeBatches, ledger: Ledger) -> None:
    list(batches.run(questions(2)))
    # 100 fresh tokens, 20 written for an hour at twice the price, 10 out; half price in a batch
    assert ledger.committed_usd() == pytest.approx(2 * (100 + 2 * 20 + 5 * 10) / 1e6 / 2)
    assert ledger.budget.committed == pytest.approx(ledger.committed_usd())


@pytest.mark.parametrize("call", ["create", "retrieve", "results", "list"])
@pytest.mark.parametrize(
    "fault", ["drop_before", "drop_after", "cut", (429, {"retry-after": "0"}), (500, {}), (529, {})]
)
def test_trouble_at_any_call_loses_nothing_and_pays_once(
    llm: FakeLLM, batches: ClaudeBatches, call: str, fault: object
) -> None:
    llm.fault(call, fault, fault)
    if call == "list":
        llm.fault("create", "drop_after")
    asks = questions(3)
    assert {answer.ask for answer in batches.run(asks)} == {ask.id for ask in asks}
    assert sorted(llm.billed.values()) == [1, 1, 1]


def test_a_batch_whose_answer_never_came_is_found_among_strangers(
    llm: FakeLLM, batches: ClaudeBatches
) -> None:
    asks = questions(2)
    stranger = [{"custom_id": f"x{n}", "params": batches._model.params(asks[n], "1h")} for n in range(2)]
    llm.fault("create", "drop_after")
    llm.make_batch(stranger)
    assert {answer.ask for answer in batches.run(asks)} == {ask.id for ask in asks}
    assert len(llm.batches) == 2


def test_expired_requests_are_put_again(llm: FakeLLM, batches: ClaudeBatches, ledger: Ledger) -> None:
    llm.reply = lambda body: Reply(batch="expired" if len(llm.batches) == 1 else "succeeded")
    (answer,) = batches.run([question(0)])
    assert answer.text is not None
    assert ledger.rows("SELECT state FROM requests ORDER BY created") == [("void",), ("answered",)]


def test_what_expires_again_and_again_is_a_failure(llm: FakeLLM, batches: ClaudeBatches) -> None:
    llm.reply = lambda body: Reply(batch="expired")
    (answer,) = batches.run([question(0)])
    assert answer.failure is not None
    assert (answer.failure.kind, len(llm.batches)) == ("expired", 3)


def test_one_malformed_request_does_not_stop_the_others(llm: FakeLLM, batches: ClaudeBatches) -> None:
    llm.reply = lambda body: Reply(
        batch="errored" if body["messages"][0]["content"].endswith("1") else "succeeded"
    )
    answers = {answer.ask: answer for answer in batches.run(questions(3))}
    assert answers[question(1).id].failure == Failure("error", "schema: unknown keyword")
    assert sum(answer.text is not None for answer in answers.values()) == 2


def test_a_batch_of_which_all_is_malformed_stops_the_job(
    llm: FakeLLM, batches: ClaudeBatches, ledger: Ledger
) -> None:
    llm.reply = lambda body: Reply(batch="errored")
    with pytest.raises(BackendError, match="unknown keyword"):
        list(batches.run(questions(3)))
    assert ledger.committed_usd() == 0


def test_refused_and_cut_answers_are_failures_that_were_paid(
    llm: FakeLLM, batches: ClaudeBatches, ledger: Ledger
) -> None:
    replies = {"0": Reply("", stop="refusal", category="bio"), "1": Reply('{"cho', stop="max_tokens")}
    llm.reply = lambda body: replies[body["messages"][0]["content"][-1]]
    failures = {answer.failure for answer in batches.run(questions(2))}
    assert failures == {Failure("refused", "bio"), Failure("truncated", "max_tokens")}
    assert ledger.committed_usd() > 0


def test_what_cannot_be_paid_at_once_is_asked_in_turn(
    llm: FakeLLM, client: anthropic.Anthropic, ledger: Ledger
) -> None:
    batches = transport(client, ledger)
    one = batches.most_usd(question(0))
    ledger.budget.max_usd = 2.5 * one
    assert len(list(batches.run(questions(4)))) == 4
    assert [len(batch["requests"]) for batch in llm.batches.values()] == [2, 2]


def test_the_cap_stops_the_job_before_anything_is_sent(
    llm: FakeLLM, batches: ClaudeBatches, ledger: Ledger
) -> None:
    ledger.budget.max_usd = batches.most_usd(question(0)) * 0.99
    with pytest.raises(BudgetError, match="--max-usd"):
        list(batches.run([question(0)]))
    assert llm.calls == []


@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_wrong_key_stops_the_job_and_costs_nothing(
    llm: FakeLLM, batches: ClaudeBatches, ledger: Ledger, status: int
) -> None:
    llm.fault("create", (status, {}))
    with pytest.raises(BackendError, match=f"HTTP {status}"):
        list(batches.run(questions(2)))
    assert (ledger.committed_usd(), ledger.budget.committed) == (0, 0)
    assert len(list(batches.run(questions(2)))) == 2


def test_a_batch_that_is_gone_counts_in_full_and_is_asked_again(
    llm: FakeLLM, batches: ClaudeBatches, ledger: Ledger
) -> None:
    running = batches.run(questions(2))
    llm.fault("retrieve", (404, {}), (404, {}))
    assert len(list(running)) == 2
    assert ledger.rows("SELECT count(*) FROM requests WHERE state = 'lost'") == [(2,)]
    assert ledger.committed_usd() > 2 * batches.most_usd(question(0))


def test_stopping_early_leaves_the_batch_to_the_next_run(
    llm: FakeLLM, batches: ClaudeBatches, ledger: Ledger
) -> None:
    running = batches.run(questions(3))
    next(running)
    running.close()
    assert len(list(ledger.answers([ask.id for ask in questions(3)]))) == 3
    assert len(llm.batches) == 1
