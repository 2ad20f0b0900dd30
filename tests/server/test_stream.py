"""An answer in pieces: the bytes, their order, and that they say what a whole answer says."""

import json

import pytest

from steersman_engine.engine import EngineError

HELLO = [{"role": "user", "content": "Hi"}]
EDITS = [{"feature": 1, "strength": 0.5}]
USAGE = {"include_usage": True}


def post(http, **fields):
    body = {"model": "org/tiny", "messages": HELLO, "stream": True} | fields
    return http.post("/v1/chat/completions", json=body)


def events(http, **fields):
    """The stream's JSON events; its last, `[DONE]`, is checked and left out."""
    *frames, done, rest = post(http, **fields).content.split(b"\n\n")
    assert (done, rest) == (b"data: [DONE]", b"")
    assert all(frame.startswith(b"data: {") and b"\n" not in frame for frame in frames)
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames]


def text(chunks):
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks if chunk["choices"])


def test_the_parts_come_in_openais_order_and_ours_before_the_usage(http, engine):
    engine.says("ab")
    chunks = events(http, stream_options=USAGE, feature_edits=EDITS, attribution={"tokens": [0]})
    choices = [
        {"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None, "logprobs": None},
        {"index": 0, "delta": {"content": "a"}, "finish_reason": None, "logprobs": None},
        {"index": 0, "delta": {"content": "b"}, "finish_reason": None, "logprobs": None},
        {"index": 0, "delta": {}, "finish_reason": "stop", "logprobs": None},
    ]
    assert [chunk["choices"] for chunk in chunks] == [*([choice] for choice in choices), [], []]
    assert [chunk["usage"] is None for chunk in chunks] == [True] * 5 + [False]
    assert chunks[-1]["usage"]["completion_tokens"] == 2
    assert chunks[-3]["steering"]["edits"][0]["tokens_edited"] == 2
    assert [token["token"] for token in chunks[-2]["attribution"][0]["tokens"]] == ["a"]


def test_every_chunk_has_a_choice_unless_more_than_an_answer_is_asked_for(http):
    """A client that steers by a variant's name reads `choices[0]` of every chunk."""
    chunks = events(http, feature_edits=EDITS, n=2)
    assert all(len(chunk["choices"]) == 1 for chunk in chunks)
    assert [n for n, chunk in enumerate(chunks) if "steering" in chunk] == [len(chunks) - 1]


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"stream_options": USAGE},
        {"stream_options": {"continuous_usage_stats": True, "include_obfuscation": True}},
        {"logprobs": True, "top_logprobs": 1, "activations": {"top_k": 1}},
        {"stop": "ll", "feature_edits": EDITS, "attribution": {"tokens": [0]}},
    ],
    ids=str,
)
def test_each_of_several_choices_begins_once_goes_on_and_ends_once(http, fields):
    chunks = events(http, n=3, **fields)
    for index in range(3):
        parts = [c for chunk in chunks for c in chunk["choices"] if c["index"] == index]
        first, *middle, last = parts
        assert first["delta"] == {"role": "assistant", "content": ""}
        assert all(part["delta"].keys() == {"content"} for part in middle)
        assert [part["finish_reason"] for part in parts] == [None] * (len(parts) - 1) + ["stop"]
        assert last["delta"] == {}


def test_usage_may_come_with_every_chunk(http):
    chunks = events(http, stream_options={"continuous_usage_stats": True})
    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks if chunk["usage"]]
    assert counts == sorted(counts) and counts[-1] == len("Hello!")


def test_nothing_comes_after_the_finish_unless_asked_for(http):
    assert events(http)[-1]["choices"][0]["finish_reason"] == "stop"


def test_all_chunks_say_whose_they_are(http):
    chunks = events(http, stream_options=USAGE)
    for name in ("id", "object", "created", "model", "system_fingerprint"):
        assert len({chunk[name] for chunk in chunks}) == 1


def test_a_stream_has_the_headers_of_one(http):
    headers = post(http).headers
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("stop", [None, ["€ 😀"], ["zzz", "ï"], ["n"]])
def test_the_streamed_text_is_the_whole_text(http, engine, stop):
    engine.says("naïve € 😀!\n\nend")
    body = {"model": "org/tiny", "messages": HELLO, "stop": stop}
    whole = http.post("/v1/chat/completions", json=body).json()["choices"][0]["message"]["content"]
    assert text(events(http, stop=stop)) == whole


def test_a_character_of_several_tokens_comes_whole(http, engine):
    engine.says("€")
    assert [c["choices"][0]["delta"].get("content") for c in events(http)] == ["", "€", None]


def test_an_answer_without_text_is_a_whole_stream(http, engine):
    engine.says("")
    assert [c["choices"][0]["delta"] for c in events(http)] == [{"role": "assistant", "content": ""}, {}]


def test_a_stop_string_ends_a_stream_and_cancels_the_engine(http, engine):
    chunks = events(http, stop="ll")
    assert (text(chunks), chunks[-1]["choices"][0]["finish_reason"]) == ("He", "stop")
    assert (engine.num_given, engine.num_closed) == (4, 1)


def test_an_error_before_the_first_token_has_its_status(http, engine):
    engine.says("", EngineError("secret"))
    answer = post(http)
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "server_error")


def test_a_request_that_is_refused_is_no_stream(http):
    assert post(http, temperature=3).status_code == 400


def test_a_later_error_is_an_event_and_the_stream_ends_as_it_should(http, engine):
    engine.says("He", EngineError("secret"))
    *chunks, error = events(http)
    assert text(chunks) == "He"
    assert error["error"]["type"] == "server_error"
    assert "secret" not in json.dumps(error)


def test_openais_client_takes_a_stream(openai):
    stream = openai.chat.completions.create(
        model="org/tiny",
        messages=HELLO,
        stream=True,
        stream_options=USAGE,
        extra_body={"feature_edits": EDITS},
    )
    chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello!"
    assert chunks[-2].model_extra["steering"]["bundle"] == "tiny@12345678"
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_openais_stream_helper_takes_a_stream(openai):
    extra = {"feature_edits": EDITS, "attribution": {"tokens": [0, 1]}}
    with openai.chat.completions.stream(model="org/tiny", messages=HELLO, extra_body=extra) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Hello!"
