"""OpenAI's Python package, as it comes, over a real connection."""

import asyncio
from typing import Any

import openai as package
import pytest
from openai import AsyncOpenAI, OpenAI

MODEL = "org/tiny"
HELLO: Any = [{"role": "user", "content": "Hi"}]


@pytest.fixture
def client(lasting_url, engine):
    with OpenAI(
        base_url=f"{lasting_url}/v1", api_key="none", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


def test_a_plain_answer(client):
    answer = client.chat.completions.create(model=MODEL, messages=HELLO)
    assert answer.choices[0].message.content == "Hello!"
    assert answer._request_id


def test_every_supported_field_at_once(client, engine):
    answer = client.chat.completions.create(
        model=MODEL,
        messages=[{"role": "developer", "content": "Be brief."}, *HELLO],
        temperature=0.5,
        top_p=0.9,
        n=2,
        max_completion_tokens=5,
        stop=["zzz"],
        seed=3,
        frequency_penalty=0.5,
        presence_penalty=-0.5,
        logit_bias={"5": -100},
        logprobs=True,
        top_logprobs=2,
        response_format={"type": "text"},
        user="u",
        metadata={"a": "b"},
        store=False,
        parallel_tool_calls=True,
        reasoning_effort="low",
        extra_body={"top_k": 5, "min_p": 0.1, "repetition_penalty": 1.1},
    )
    assert [choice.message.content for choice in answer.choices] == ["Hello", "Hello"]
    assert [choice.finish_reason for choice in answer.choices] == ["length", "length"]
    first, second = engine.generated
    assert (first.sampling.temperature, first.sampling.top_k, first.sampling.min_p) == (0.5, 5, 0.1)
    assert first.sampling.logit_bias == {5: -100.0}
    assert first.sampling.seed != second.sampling.seed


@pytest.mark.parametrize("text", ["Hello!", "naïve € 😀"])
def test_the_log_probabilities_rebuild_the_text(client, engine, text):
    engine.says(text)
    choice = client.chat.completions.create(
        model=MODEL, messages=HELLO, logprobs=True, top_logprobs=1
    ).choices[0]
    tokens = choice.logprobs.content
    assert bytes(byte for token in tokens for byte in token.bytes).decode() == text
    if text.isascii():
        assert "".join(token.token for token in tokens) == text


def test_streamed_log_probabilities_are_those_of_the_whole(client, engine):
    engine.says("naïve stop")
    asked = {"model": MODEL, "messages": HELLO, "logprobs": True, "top_logprobs": 0, "stop": "st"}
    whole = client.chat.completions.create(**asked).choices[0].logprobs.content
    streamed = []
    for chunk in client.chat.completions.create(**asked, stream=True):
        if chunk.choices[0].logprobs:
            streamed += chunk.choices[0].logprobs.content
    assert streamed == whole


def test_choices_are_streamed_side_by_side(client):
    texts, finished = {0: "", 1: "", 2: ""}, []
    for chunk in client.chat.completions.create(model=MODEL, messages=HELLO, n=3, stream=True):
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
            finished += [choice.index] if choice.finish_reason else []
    assert set(texts.values()) == {"Hello!"}
    assert sorted(finished) == [0, 1, 2]


def test_the_stream_helper(client):
    with client.chat.completions.stream(
        model=MODEL, messages=HELLO, stream_options={"include_usage": True}
    ) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion()
    assert final.choices[0].message.content == "Hello!"
    assert final.usage.completion_tokens == 6
    assert "content.delta" in events and "content.done" in events


def test_the_asynchronous_client(lasting_url, engine):
    async def ask():
        async with AsyncOpenAI(base_url=f"{lasting_url}/v1", api_key="none", max_retries=0) as client:
            whole = client.chat.completions.create(model=MODEL, messages=HELLO)
            stream = await client.chat.completions.create(model=MODEL, messages=HELLO, stream=True)
            pieces = [chunk.choices[0].delta.content or "" async for chunk in stream]
            return (await whole).choices[0].message.content, "".join(pieces)

    assert asyncio.run(ask()) == ("Hello!", "Hello!")


def test_an_answer_of_a_schema(client, engine):
    schema = {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    engine.says('{"a": 7} and more')
    answer = client.chat.completions.create(
        model=MODEL,
        messages=HELLO,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "a", "schema": schema, "strict": True},
        },
    )
    assert answer.choices[0].message.content == '{"a": 7}'
    assert answer.choices[0].finish_reason == "stop"


def test_what_fires_comes_with_the_text(client):
    extra = {"activations": {"top_k": 1}}
    stream = client.chat.completions.create(model=MODEL, messages=HELLO, stream=True, extra_body=extra)
    seen = [active for chunk in stream for active in (chunk.model_extra or {}).get("activations", ())]
    tokens = [token for active in seen for token in active["tokens"]]
    assert [token["token"] for token in tokens] == list("Hello!")
    assert tokens[0]["features"] == [{"feature": 3, "label": "label 3", "activation": 4.0, "h_max": 8.0}]


def test_an_answer_that_was_aborted(client, engine):
    engine.aborts_at = 3
    condition = {"feature": 3, "op": ">", "value": 0.25}
    answer = client.chat.completions.create(
        model=MODEL, messages=HELLO, extra_body={"abort_when": [condition]}
    )
    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("Hel", "content_filter")
    (abort,) = answer.model_extra["steering"]["abort"]
    assert (abort["choice"], abort["condition"], abort["index"], abort["token"]) == (0, 0, 2, "l")


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (package.NotFoundError, {"model": "gpt"}),
        (package.BadRequestError, {"temperature": 3}),
        (package.BadRequestError, {"extra_body": {"feature_edit": []}}),
    ],
)
def test_errors_are_openais_with_code_and_request_id(client, kind, fields):
    with pytest.raises(kind) as caught:
        client.chat.completions.create(**({"model": MODEL, "messages": HELLO} | fields))
    assert caught.value.code and caught.value.request_id


def test_models(client):
    assert client.models.list().data[0].id == MODEL
    assert client.models.retrieve(MODEL).id == MODEL
