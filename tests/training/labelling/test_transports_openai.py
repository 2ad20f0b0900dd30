"""OpenAI-compatible endpoints: ways to ask for JSON, failures, and OpenAI's own client as the contract."""

from collections.abc import Iterator

import httpx
import openai
import pytest
from tests.training.labelling.conftest import MODEL, PRICE, question, questions
from tests.training.labelling.fake_llm_server import SECRET, FakeLLM, Reply

from steersman_training.labelling.ask import Answer
from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.protocols import Failure
from steersman_training.labelling.transports import BackendError
from steersman_training.labelling.transports.one_by_one import OneByOne
from steersman_training.labelling.transports.openai_endpoint import FORMATS, LIMITS, OpenAIEndpoint, body


@pytest.fixture
def endpoint(llm: FakeLLM) -> Iterator[OpenAIEndpoint]:
    with httpx.Client() as http:
        yield OpenAIEndpoint(http, llm.url + "/v1", PRICE, api_key=SECRET)


@pytest.fixture
def transport(endpoint: OpenAIEndpoint, ledger: Ledger) -> OneByOne:
    return OneByOne(endpoint, ledger, concurrency=4)


def test_every_question_is_answered_once(llm: FakeLLM, transport: OneByOne, ledger: Ledger) -> None:
    asks = questions(10)
    assert {answer.ask for answer in transport.run(asks)} == {ask.id for ask in asks}
    assert set(llm.billed.values()) == {1}
    assert ledger.committed_usd() == pytest.approx(10 * (100 + 5 * 10) / 1e6)


@pytest.mark.parametrize("way", FORMATS)
@pytest.mark.parametrize("limit", LIMITS)
def test_openais_own_client_takes_what_is_sent_and_reads_what_comes(
    llm: FakeLLM, way: str, limit: str
) -> None:
    sent = body(question(0), way, limit, {})  # pyright: ignore[reportArgumentType]
    with openai.OpenAI(base_url=llm.url + "/v1", api_key="x", max_retries=0) as client:
        completion = client.chat.completions.create(**sent)
    assert completion.choices[0].message.content == '{"choice": "A"}'


@pytest.mark.parametrize(
    ("refused", "found"),
    [
        (set(), ("json_schema", "max_completion_tokens")),
        ({"max_completion_tokens"}, ("json_schema", "max_tokens")),
        ({"json_schema"}, ("json_object", "max_completion_tokens")),
        ({"json_schema", "json_object", "max_completion_tokens"}, ("text", "max_tokens")),
    ],
)
def test_what_a_server_takes_is_found_and_remembered(
    llm: FakeLLM, transport: OneByOne, refused: set[str], found: tuple[str, str]
) -> None:
    def refuses(sent: dict) -> str | None:
        way = sent.get("response_format", {}).get("type", "text")
        return "unknown" if refused & {way, *sent} else None

    llm.refuses = refuses
    assert len(list(transport.run([question(0)]))) == 1
    num_tried = len(llm.headers)
    assert len(list(transport.run([question(1)]))) == 1
    assert len(llm.headers) == num_tried + 1
    last = llm.bodies[-1]
    assert (last.get("response_format", {}).get("type", "text"), *({*LIMITS} & last.keys())) == found


def test_a_server_without_schemas_is_told_in_words(llm: FakeLLM, transport: OneByOne) -> None:
    llm.refuses = lambda sent: "unknown" if "response_format" in sent else None
    list(transport.run([question(0)]))
    assert '"enum": ["A", "B"]' in llm.bodies[0]["messages"][0]["content"]


def test_a_question_that_is_wrong_in_every_way_is_a_failure(llm: FakeLLM, transport: OneByOne) -> None:
    llm.refuses = lambda sent: "context length exceeded"
    (answer,) = transport.run([question(0)])
    assert answer.failure is not None
    assert answer.failure.kind == "error"
    assert "context length exceeded" in answer.failure.detail


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (Reply(stop="refusal"), Failure("refused", "I cannot help with that.")),
        (Reply('{"ch', stop="max_tokens"), Failure("truncated", "length")),
        (Reply(""), Failure("invalid", "no text, stopped by stop")),
    ],
)
def test_a_missing_answer_says_why(llm: FakeLLM, transport: OneByOne, reply: Reply, failure: Failure) -> None:
    llm.reply = lambda sent: reply
    (answer,) = transport.run([question(0)])
    assert answer.failure == failure


@pytest.mark.parametrize("fault", [(429, {"retry-after": "0"}), (503, {}), "drop_before", "cut"])
def test_passing_trouble_loses_nothing(llm: FakeLLM, transport: OneByOne, fault: object) -> None:
    llm.fault("chat", fault)
    answers: list[Answer] = list(transport.run(questions(3)))
    assert [answer.failure for answer in answers] == [None] * 3


def test_a_server_that_is_not_there_stops_the_job(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steersman.retries.FIRST_DELAY_S", 0.0001)
    with httpx.Client() as http, pytest.raises(BackendError, match="cannot be reached"):
        endpoint = OpenAIEndpoint(http, "http://127.0.0.1:1/v1", PRICE)
        list(OneByOne(endpoint, ledger).run([question(0)]))
    assert ledger.committed_usd() == 0


def test_the_key_is_sent_and_the_model_named(llm: FakeLLM, transport: OneByOne) -> None:
    list(transport.run([question(0)]))
    sent = {name.lower(): value for name, value in llm.headers[0].items()}
    assert sent["authorization"] == f"Bearer {SECRET}"
    assert llm.bodies[0]["model"] == MODEL
