"""The older API, which continues texts and scores them."""

import json

import pytest

URL = "/v1/completions"


def ask(http, **fields):
    answer = http.post(URL, json={"model": "org/tiny", "prompt": "Once"} | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_text_is_continued(http):
    answer = ask(http)
    assert (answer["object"], answer["choices"][0]["text"]) == ("text_completion", "Hello!")
    assert answer["usage"] == {"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10}


def test_an_answer_has_sixteen_tokens_at_most_unless_told_otherwise(http, engine):
    engine.says("x" * 30)
    assert ask(http)["usage"]["completion_tokens"] == 16


@pytest.mark.parametrize("listed", [False, True])
@pytest.mark.parametrize("as_tokens", [False, True])
def test_a_prompt_is_text_or_tokens_one_or_several(http, engine, tiny_tokenizer, as_tokens, listed):
    prompt = tiny_tokenizer.encode("Once") if as_tokens else "Once"
    ask(http, prompt=[prompt] if listed else prompt)
    assert tiny_tokenizer.decode(engine.generated[0].prompt.token_ids) == "Once"


def test_each_prompt_has_its_answers_in_order(http, engine):
    answer = ask(http, prompt=["a", "bc"], n=2)
    assert [choice["index"] for choice in answer["choices"]] == [0, 1, 2, 3]
    assert sorted(len(request.prompt) for request in engine.generated) == [1, 1, 2, 2]
    assert answer["usage"]["prompt_tokens"] == 3


def test_a_score_of_a_text_is_what_evaluation_tools_read(http):
    answer = ask(http, echo=True, logprobs=1, max_tokens=1, temperature=0)
    logprobs = answer["choices"][0]["logprobs"]
    assert logprobs["tokens"] == ["O", "n", "c", "e", "H"]
    assert logprobs["token_logprobs"] == [None, -0.5, -0.5, -0.5, 0.0]
    assert logprobs["top_logprobs"][1] == {"n": -0.5}
    assert logprobs["text_offset"] == [0, 1, 2, 3, 4]
    assert answer["choices"][0]["text"] == "OnceH"


def test_a_text_can_be_scored_without_going_on(http, engine):
    answer = ask(http, echo=True, logprobs=0, max_tokens=0)
    assert (answer["choices"][0]["text"], answer["choices"][0]["finish_reason"]) == ("Once", "length")
    assert answer["choices"][0]["logprobs"]["tokens"] == list("Once")


def test_an_echoed_stream_says_what_the_whole_answer_says(http):
    whole = ask(http, echo=True, logprobs=2)["choices"][0]
    body = {"model": "org/tiny", "prompt": "Once", "echo": True, "logprobs": 2, "stream": True}
    *frames, done, _ = http.post(URL, json=body).text.split("\n\n")
    choices = [json.loads(frame[6:])["choices"][0] for frame in frames]
    assert "".join(choice["text"] for choice in choices) == whole["text"]
    for name in ("tokens", "token_logprobs", "text_offset"):
        parts = [choice["logprobs"][name] for choice in choices if choice["logprobs"]]
        assert [item for part in parts for item in part] == whole["logprobs"][name]
    assert (choices[-1]["finish_reason"], done) == ("stop", "data: [DONE]")


def test_openais_client_takes_a_completion(openai):
    whole = openai.completions.create(model="org/tiny", prompt="Once", logprobs=2)
    assert (whole.choices[0].text, whole.choices[0].logprobs.tokens) == ("Hello!", list("Hello!"))


def test_a_completion_can_be_steered_and_explained(http):
    answer = ask(http, feature_edits=[{"feature": 1, "strength": 0.5}], attribution={"tokens": [0]})
    assert answer["steering"]["edits"][0]["tokens_edited"] == 6
    assert answer["attribution"][0]["tokens"][0]["token"] == "H"


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"prompt": None}, "prompt", "missing_required_parameter"),
        ({"prompt": ""}, "prompt", "empty_array"),
        ({"prompt": []}, "prompt", "empty_array"),
        ({"prompt": ["a", 5]}, "prompt", "invalid_type"),
        ({"prompt": [99999]}, "prompt", "invalid_value"),
        ({"prompt": ["a", [99999]]}, "prompt[1]", "invalid_value"),
        ({"prompt": "x" * 300}, "prompt", "context_length_exceeded"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"suffix": "."}, "suffix", "unsupported_parameter"),
        ({"best_of": 2}, "best_of", "unsupported_value"),
        ({"logprobs": 21}, "logprobs", "integer_above_max_value"),
        ({"messages": []}, "messages", "unknown_parameter"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(http, fields, param, code):
    answer = http.post(URL, json={"model": "org/tiny", "prompt": "Once"} | fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code), error["message"]
