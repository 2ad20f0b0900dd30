"""Claude's Messages through the real SDK: rate limits, overload, broken connections, refusals, the cap."""

import logging

import anthropic
import pytest
from tests.training.labelling.conftest import MODEL, PRICE, question, questions
from tests.training.labelling.fake_llm_server import SECRET, FakeLLM, Reply, capabilities

from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.protocols import Failure
from steersman_training.labelling.transports import BackendError
from steersman_training.labelling.transports.claude_messages import ClaudeMessages
from steersman_training.labelling.transports.claude_model import ClaudeModel, probe
from steersman_training.labelling.transports.one_by_one import OneByOne


@pytest.fixture
def messages(client: anthropic.Anthropic, ledger: Ledger) -> OneByOne:
    return OneByOne(ClaudeMessages(client, ClaudeModel(id=MODEL), PRICE), ledger, concurrency=4)


def test_every_question_is_answered_once(llm: FakeLLM, messages: OneByOne) -> None:
    asks = questions(20)
    assert {answer.ask for answer in messages.run(asks)} == {ask.id for ask in asks}
    assert set(llm.billed.values()) == {1}
    assert llm.most_under_way <= 4


@pytest.mark.parametrize(
    "fault", [(429, {"retry-after": "0"}), (429, {"retry-after-ms": "5"}), (529, {}), (500, {})]
)
def test_what_is_turned_away_is_sent_again_and_not_counted(
    llm: FakeLLM, messages: OneByOne, ledger: Ledger, fault: object
) -> None:
    llm.fault("messages", fault, fault)
    assert len(list(messages.run(questions(3)))) == 3
    assert set(llm.billed.values()) == {1}
    assert ledger.rows("SELECT count(*) FROM requests WHERE state = 'void'") == [(2,)]


@pytest.mark.parametrize(("fault", "times"), [("drop_before", 1), ("drop_after", 2), ("cut", 2)])
def test_a_broken_connection_counts_as_paid_in_full(
    llm: FakeLLM, messages: OneByOne, ledger: Ledger, fault: str, times: int
) -> None:
    llm.fault("messages", fault)
    list(messages.run([question(0)]))
    assert llm.billed.total() == times
    (usd,) = ledger.rows("SELECT usd FROM requests WHERE state = 'answered'")[0]
    assert ledger.committed_usd() == pytest.approx(usd + messages.most_usd(question(0)))


def test_a_connection_that_breaks_each_time_stops_the_job(llm: FakeLLM, messages: OneByOne) -> None:
    llm.fault("messages", *["drop_after"] * 3)
    with pytest.raises(BackendError, match="3 times"):
        list(messages.run([question(0)]))


def test_a_malformed_question_is_a_failure_and_free(llm: FakeLLM, messages: OneByOne, ledger: Ledger) -> None:
    llm.fault("messages", (400, {}))
    answers = list(messages.run(questions(2)))
    assert [a.failure.kind for a in answers if a.failure] == ["error"]
    assert len(answers) == 2


def test_when_every_question_is_malformed_the_job_stops(llm: FakeLLM, messages: OneByOne) -> None:
    llm.fault("messages", *[(400, {})] * 100)
    with pytest.raises(BackendError, match="10 questions in a row"):
        list(messages.run(questions(50)))
    assert llm.calls.count("messages") < 20


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (Reply("", stop="refusal", category="cyber"), Failure("refused", "cyber")),
        (Reply("", stop="refusal"), Failure("refused", "no category")),
        (Reply('{"cho', stop="max_tokens"), Failure("truncated", "max_tokens")),
        (Reply(""), Failure("invalid", "no text, stopped by end_turn")),
    ],
)
def test_a_missing_answer_says_why_and_was_paid(
    llm: FakeLLM, messages: OneByOne, ledger: Ledger, reply: Reply, failure: Failure
) -> None:
    llm.reply = lambda body: reply
    (answer,) = messages.run([question(0)])
    assert answer.failure == failure
    assert answer.usage is not None
    assert ledger.committed_usd() > 0


def test_the_text_is_found_behind_thinking(llm: FakeLLM, messages: OneByOne) -> None:
    llm.reply = lambda body: Reply(thinking=True)
    (answer,) = messages.run([question(0)])
    assert answer.text == '{"choice": "A"}'


def test_the_cap_holds_with_many_under_way(llm: FakeLLM, client: anthropic.Anthropic, ledger: Ledger) -> None:
    messages = OneByOne(ClaudeMessages(client, ClaudeModel(id=MODEL), PRICE), ledger, concurrency=16)
    ledger.budget.max_usd = 3.5 * messages.most_usd(question(0))
    seen = [ledger.budget.committed for _ in messages.run(questions(20))]
    assert len(seen) == 20
    assert max(seen) <= ledger.budget.max_usd
    assert llm.most_under_way <= 3


def test_no_key_is_logged(
    llm: FakeLLM, messages: OneByOne, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    llm.fault("messages", (400, {}), "drop_after")
    with caplog.at_level(logging.DEBUG):
        list(messages.run(questions(3)))
    assert SECRET not in caplog.text
    assert SECRET not in str(ledger.rows("SELECT * FROM requests"))


def test_the_system_prompt_is_cached_and_the_schema_sent(llm: FakeLLM, messages: OneByOne) -> None:
    list(messages.run([question(0)]))
    (body,) = llm.bodies
    assert body["system"][0]["cache_control"] == {"type": "ephemeral", "ttl": "5m"}
    assert body["output_config"]["format"]["schema"]["properties"]["choice"]["enum"] == ["A", "B"]


def test_a_model_that_can_be_kept_from_thinking_is(llm: FakeLLM, client: anthropic.Anthropic) -> None:
    model = probe(client, MODEL)
    assert model == ClaudeModel(id=MODEL, thinking="disabled", effort="low", max_tokens=64_000)
    params = model.params(question(0), "5m")
    assert params["thinking"] == {"type": "disabled"}
    assert params["output_config"]["effort"] == "low"


def test_a_model_that_must_think_gets_room_for_it(llm: FakeLLM, client: anthropic.Anthropic) -> None:
    llm.capabilities = capabilities(thinking=("adaptive",))
    params = probe(client, MODEL).params(question(0), "5m")
    assert "thinking" not in params
    assert params["max_tokens"] > 5_000


def test_a_model_without_schemas_is_made_to_call_a_tool(
    llm: FakeLLM, client: anthropic.Anthropic, ledger: Ledger
) -> None:
    llm.capabilities = capabilities(schema=False, efforts=())
    model = probe(client, MODEL)
    (answer,) = OneByOne(ClaudeMessages(client, model, PRICE), ledger).run([question(0)])
    assert answer.text == '{"choice": "A"}'
    assert llm.bodies[0]["tool_choice"] == {"type": "tool", "name": "answer"}
    assert "output_config" not in llm.bodies[0]


def test_an_effort_that_a_model_has_not_is_refused(llm: FakeLLM, client: anthropic.Anthropic) -> None:
    with pytest.raises(ValueError, match='no effort "max", but low, medium, high'):
        probe(client, MODEL, effort="max")


def test_an_unknown_model_is_answered_with_those_there_are(llm: FakeLLM, client: anthropic.Anthropic) -> None:
    llm.fault("models", (404, {}))
    with pytest.raises(ValueError, match="there are claude-tiny"):
        probe(client, "claude-2")
