"""A language model's service on a local socket, and a ledger."""

from collections.abc import Iterator
from pathlib import Path

import anthropic
import pytest
from tests.training.labelling.fake_llm_server import SECRET, FakeLLM

from steersman_training.labelling.ask import Ask, Turn, make_ask
from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.prices import Price

MODEL = "claude-tiny"
PRICE = Price(input=1.0, output=5.0)


@pytest.fixture
def llm(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeLLM]:
    monkeypatch.setattr("steersman.retries.FIRST_DELAY_S", 0.001)
    served = FakeLLM()
    yield served
    served.close()


@pytest.fixture
def client(llm: FakeLLM) -> Iterator[anthropic.Anthropic]:
    http = anthropic.DefaultHttpxClient(
        verify=False
    )  # reading the system's certificates takes longer than a test
    with anthropic.Anthropic(base_url=llm.url, api_key=SECRET, http_client=http) as made:
        yield made


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "requests.sqlite", max_usd=100.0) as made:
        yield made


def question(number: int, text: str = "Which one?", max_tokens: int = 100) -> Ask:
    """A small question, different for each number."""
    return make_ask(
        stage="contrastive",
        feature=number,
        model=MODEL,
        prompt_version="1",
        system="You are a judge.",
        messages=(Turn("user", f"{text} {number}"),),
        schema={
            "type": "object",
            "properties": {"choice": {"enum": ["A", "B"]}},
            "required": ["choice"],
            "additionalProperties": False,
        },
        max_tokens=max_tokens,
    )


def questions(count: int) -> list[Ask]:
    return [question(number) for number in range(count)]
