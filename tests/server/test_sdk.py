"""The real client on the real application, without a socket."""

import pytest
from litestar.testing import TestClient

import steersman
from steersman import Client, FeatureEdit, Message

HELLO = [Message("user", "Hi")]
EDIT = FeatureEdit(3, 0.5)


@pytest.fixture
def client(http: TestClient) -> Client:
    return Client(http=http, max_retries=0)


def test_a_steered_answer_comes_back_typed(client: Client) -> None:
    answer = client.chat.completions.create(
        messages=HELLO, feature_edits=[EDIT], attribution={"top_k": 1}, max_tokens=9, seed=7
    )
    assert answer.choices[0].message.content == "Hello!"
    assert answer.steering is not None
    assert answer.steering.edits[0].add == 4.0
    assert answer.attribution is not None
    assert answer.attribution[0].tokens[0].features[0].label == "label 3"


def test_a_stream_says_what_the_whole_answer_says(client: Client) -> None:
    whole = client.chat.completions.create(
        messages=HELLO, feature_edits=[EDIT], attribution={"top_k": 1}, max_tokens=9, seed=7
    )
    stream = client.chat.completions.create(
        messages=HELLO, feature_edits=[EDIT], attribution={"top_k": 1}, max_tokens=9, seed=7, stream=True
    )
    for _ in stream:
        pass
    (choice,) = whole.choices
    assert (stream.text, stream.finish_reason) == (choice.message.content, choice.finish_reason)
    assert (stream.steering, stream.attribution, stream.usage) == (
        whole.steering, whole.attribution, whole.usage
    )  # fmt: skip


def test_an_answer_can_be_sent_back_as_it_came(client: Client) -> None:
    answer = client.chat.completions.create(messages=HELLO)
    again = client.chat.completions.create(messages=[*HELLO, answer.choices[0].message, *HELLO])
    assert again.choices[0].finish_reason == "stop"


def test_an_engine_that_fails_in_a_stream_is_a_stream_error(client: Client, engine) -> None:
    engine.says("Hel", RuntimeError("device lost"))
    stream = client.chat.completions.create(messages=HELLO, stream=True)
    with pytest.raises(steersman.StreamError):
        list(stream)
    assert stream.text == "Hel"


def test_an_unknown_feature_is_named(client: Client) -> None:
    with pytest.raises(steersman.NotFoundError, match="99"):
        client.chat.completions.create(messages=HELLO, feature_edits=[FeatureEdit(99, 1.0)])


def test_an_unknown_model_is_named(client: Client) -> None:
    with pytest.raises(steersman.NotFoundError, match="gpt"):
        client.chat.completions.create(messages=HELLO, model="gpt")


def test_pages_of_features_follow_each_other(client: Client) -> None:
    assert [feature.index for feature in client.features.list(limit=2)] == [0, 1, 2, 3]


def test_a_search_finds_labels(client: Client) -> None:
    assert [feature.index for feature in client.features.search("word3")] == [3]


def test_the_server_tells_what_it_serves(client: Client) -> None:
    assert (client.health().model, [model.id for model in client.models.list()]) == ("org/tiny", ["org/tiny"])
