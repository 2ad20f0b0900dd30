"""The server over the real engine, with a tiny random model."""

from collections.abc import Iterator

import pytest
from litestar.testing import TestClient

from steersman_server.app import create_app
from steersman_server.config import ServerConfig

EDIT = {"feature": 7, "strength": 2.0}


@pytest.fixture
def http(really_served) -> Iterator[TestClient]:
    with TestClient(create_app(really_served, ServerConfig())) as client:
        yield client


def ask(http, **fields):
    body = {"model": "org/tiny", "messages": [{"role": "user", "content": "Hi"}]}
    answer = http.post("/v1/chat/completions", json=body | {"max_tokens": 8, "seed": 1} | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def text(answer):
    return answer["choices"][0]["message"]["content"]


def test_an_edit_changes_the_answer_and_the_next_is_as_before(http):
    before, steered, after = ask(http), ask(http, feature_edits=[EDIT]), ask(http)
    assert text(before) == text(after) != text(steered)


def test_the_receipt_counts_the_tokens_that_were_edited(http):
    answer = ask(http, feature_edits=[EDIT])
    edited = answer["steering"]["edits"][0]["tokens_edited"]
    assert edited == answer["usage"]["total_tokens"] - 1  # the last token is read by none


def test_the_receipt_of_an_answer_that_a_stop_string_ended_counts_no_more(http):
    stop = text(ask(http, feature_edits=[EDIT]))[2]
    answer = ask(http, feature_edits=[EDIT], stop=stop)
    edited = answer["steering"]["edits"][0]["tokens_edited"]
    assert edited == answer["usage"]["total_tokens"] - 1


def test_each_token_of_a_steered_answer_is_attributed(http):
    answer = ask(http, feature_edits=[EDIT], attribution={"top_k": 3})
    tokens = answer["attribution"][0]["tokens"]
    assert [token["index"] for token in tokens] == list(range(answer["usage"]["completion_tokens"]))
    assert all(len(token["features"]) == 3 for token in tokens)
