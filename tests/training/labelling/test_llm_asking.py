"""Second attempts, decoding, and what is known already."""

from collections.abc import Iterator

import httpx
import pytest
from tests.training.labelling.conftest import PRICE, question, questions
from tests.training.labelling.fake_llm_server import FakeLLM, Reply

from steersman_training.labelling.ask import schema_of
from steersman_training.labelling.asking import Asker
from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.llm_prompts import LabelAnswer, OneOfTwo
from steersman_training.labelling.protocols import Failure
from steersman_training.labelling.transports.one_by_one import OneByOne
from steersman_training.labelling.transports.openai_endpoint import OpenAIEndpoint


@pytest.fixture
def asker(llm: FakeLLM, ledger: Ledger) -> Iterator[Asker]:
    with httpx.Client() as http:
        yield Asker(ledger, OneByOne(OpenAIEndpoint(http, llm.url + "/v1", PRICE), ledger))


def test_asking_again_costs_nothing(llm: FakeLLM, asker: Asker) -> None:
    first = sorted(asker.ask(questions(4), OneOfTwo), key=str)
    assert sorted(asker.ask(questions(4), OneOfTwo), key=str) == first
    assert set(llm.billed.values()) == {1}


def test_a_malformed_answer_is_complained_about_once(llm: FakeLLM, asker: Asker) -> None:
    replies = iter([Reply('{"choice": "C"}'), Reply('{"choice": "B"}')])
    llm.reply = lambda body: next(replies)
    ((ask, data, _),) = asker.ask([question(0)], OneOfTwo)
    assert (ask, data) == (question(0).id, OneOfTwo("B"))
    assert "Invalid enum value 'C'" in llm.bodies[1]["messages"][-1]["content"]


def test_twice_malformed_is_a_failure(llm: FakeLLM, asker: Asker) -> None:
    llm.reply = lambda body: Reply("A, I think.")
    ((_, data, _),) = asker.ask([question(0)], OneOfTwo)
    assert isinstance(data, Failure)
    assert (data.kind, llm.billed.total()) == ("invalid", 2)


def test_a_cut_answer_gets_more_room_once(llm: FakeLLM, asker: Asker) -> None:
    llm.reply = lambda body: Reply(stop="end_turn" if body["max_completion_tokens"] == 400 else "max_tokens")
    ((_, data, _),) = asker.ask([question(0)], OneOfTwo)
    assert data == OneOfTwo("A")


def test_a_refusal_is_not_asked_again(llm: FakeLLM, asker: Asker) -> None:
    llm.reply = lambda body: Reply(stop="refusal")
    for _ in range(2):
        ((_, data, _),) = asker.ask([question(0)], OneOfTwo)
        assert isinstance(data, Failure)
        assert data.kind == "refused"
    assert llm.billed.total() == 1


@pytest.mark.parametrize("text", ['```json\n{"choice": "B"}\n```', 'Sure! {"choice": "B"} Anything else?'])
def test_json_is_found_among_words(llm: FakeLLM, asker: Asker, text: str) -> None:
    llm.reply = lambda body: Reply(text)
    assert [data for _, data, _ in asker.ask([question(0)], OneOfTwo)] == [OneOfTwo("B")]


def test_a_schema_is_plain_and_closed() -> None:
    schema = schema_of(LabelAnswer)
    assert "$ref" not in str(schema)
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) == {"rationale", "label", "kind", "confidence", "search_words"}
