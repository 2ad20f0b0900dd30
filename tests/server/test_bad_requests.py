"""What is refused, and how: never a 500, never an answer that lacks what was asked for."""

import json

import pytest

HELLO = [{"role": "user", "content": "Hi"}]
EDIT = {"feature": 1, "strength": 0.5}


def edit(**fields):
    return {"feature_edits": [EDIT, EDIT | fields]}


def message(**fields):
    return {"messages": [*HELLO, {"role": "user", "content": "x"} | fields]}


def part(**fields):
    return message(content=[{"type": "text", "text": "x"}, fields])


def schema(inner):
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": inner}}}


TOOL = {"type": "function", "function": {"name": "f"}}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
NO_CONTROL = {"interventions": [], "scopes": []}

WITHOUT_EFFECT = [
    {"user": "u"},
    {"model": None},
    {"messages": [HELLO[0] | {"refusal": None, "annotations": [], "audio": None, "tool_calls": None}]},
    {"tools": [{"type": "function"}], "tool_choice": "none"},
    {"functions": [{"name": "f"}], "function_call": "none"},
    {"cache_prompt": True, "skip_special_tokens": True, "use_beam_search": False, "best_of": 1},
    {"chat_template_kwargs": {}},
    {"controller": NO_CONTROL},
    {"feature_edits": [EDIT | {"mode": None, "when": None}]},
    {"store": True},
    {"metadata": {"a": "b"}},
    {"service_tier": "auto"},
    {"reasoning_effort": "low"},
    {"n": 1},
    {"logprobs": False},
    {"tools": []},
    {"tool_choice": "auto"},
    {"response_format": {"type": "text"}},
    {"frequency_penalty": 0},
    {"presence_penalty": 0.0},
    {"logit_bias": {}},
    {"modalities": ["text"]},
    {"stream_options": None, "stop": None, "max_tokens": None, "seed": None, "stream": None, "n": None},
    {"feature_edits": None, "attribution": None, "temperature": None, "unheard_of": None},
]

REFUSED = [
    # ill-typed, missing, out of range
    ({"temperature": "1"}, "temperature", "invalid_type"),
    ({"temperature": 2.5}, "temperature", "decimal_above_max_value"),
    ({"temperature": -1}, "temperature", "decimal_below_min_value"),
    ({"top_p": 0}, "top_p", "decimal_below_min_value"),
    ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
    ({"max_tokens": 1.5}, "max_tokens", "invalid_type"),
    ({"stream": 1}, "stream", "invalid_type"),
    ({"seed": 2**63}, "seed", "integer_above_max_value"),
    ({"stop": ["a"] * 5}, "stop", "array_above_max_length"),
    ({"stop": ["a", ""]}, "stop[1]", "empty_string"),
    ({"messages": []}, "messages", "empty_array"),
    ({"messages": "Hi"}, "messages", "invalid_type"),
    (message(role="wizard"), "messages[1].role", "invalid_value"),
    (message(content=None), "messages[1].content", "missing_required_parameter"),
    (message(content=5), "messages[1].content", "invalid_type"),
    (message(role="tool"), "messages[1].role", "unsupported_value"),
    (message(role="assistant", tool_calls=[CALL]), "messages[1].tool_calls", "unsupported_parameter"),
    (message(tool_calls=[{}]), "messages[1].tool_calls[0].id", "missing_required_parameter"),
    (message(audio={}), "messages[1].audio", "unsupported_parameter"),
    (message(colour="red"), "messages[1].colour", "unknown_parameter"),
    (part(type="image_url", image_url={}), "messages[1].content[1].type", "unsupported_value"),
    (part(type="text"), "messages[1].content[1].text", "missing_required_parameter"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter"),
    ({"stream_options": {"include_usage": True}}, "stream_options", "invalid_value"),
    ({"metadata": {"a": 1}}, "metadata[...]", "invalid_type"),
    ({"reasoning_effort": "extreme"}, "reasoning_effort", "invalid_value"),
    # unknown, or more than this server can do
    ({"feature_edit": []}, "feature_edit", "unknown_parameter"),
    ({"n": 9}, "n", "integer_above_max_value"),
    ({"n": 0}, "n", "integer_below_min_value"),
    ({"top_logprobs": 5}, "top_logprobs", "invalid_value"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs", "integer_above_max_value"),
    ({"chat_template_kwargs": {"enable_thinking": False}}, "chat_template_kwargs", "unsupported_value"),
    ({"include_stop_str_in_output": True}, "include_stop_str_in_output", "unsupported_value"),
    ({"tools": [TOOL]}, "tools", "unsupported_parameter"),
    ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
    ({"tools": [TOOL | {"type": "custom"}]}, "tools[0].type", "unsupported_value"),
    ({"tool_choice": "required"}, "tool_choice", "unsupported_value"),
    ({"functions": [{}]}, "functions", "unsupported_parameter"),
    ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
    (
        {"response_format": {"type": "json_schema"}},
        "response_format.json_schema",
        "missing_required_parameter",
    ),
    (schema({"type": "nonsense"}), "response_format.json_schema.schema", "invalid_value"),
    ({"frequency_penalty": 2.1}, "frequency_penalty", "decimal_above_max_value"),
    ({"presence_penalty": True}, "presence_penalty", "invalid_type"),
    ({"logit_bias": {"5": 101}}, "logit_bias[...]", "decimal_above_max_value"),
    ({"logit_bias": {"five": 1}}, "logit_bias", "invalid_value"),
    ({"logit_bias": {"99999": 1}}, "logit_bias", "invalid_value"),
    ({"stop_token_ids": [99999]}, "stop_token_ids[0]", "integer_above_max_value"),
    ({"min_tokens": 5, "max_tokens": 4}, "min_tokens", "invalid_value"),
    ({"repetition_penalty": 0}, "repetition_penalty", "decimal_below_min_value"),
    ({"modalities": ["text", "audio"]}, "modalities", "unsupported_value"),
    ({"audio": {"voice": "x"}}, "audio", "unsupported_parameter"),
    # edits that cannot be made, or would do nothing
    (edit(strength=2.01), "feature_edits[1].strength", "decimal_above_max_value"),
    (edit(strength=-3), "feature_edits[1].strength", "decimal_below_min_value"),
    (edit(mode="add", strength=-3), "feature_edits[1].strength", "decimal_below_min_value"),
    (edit(mode="scale", strength=-0.1), "feature_edits[1].strength", "decimal_below_min_value"),
    (edit(mode="scale", strength=2.1), "feature_edits[1].strength", "decimal_above_max_value"),
    (edit(unit="raw", strength=8.1), "feature_edits[1].strength", "decimal_above_max_value"),
    (edit(feature=-1), "feature_edits[1].feature", "integer_below_min_value"),
    (edit(feature=2), "feature_edits[1]", "edit_without_effect"),
    (edit(mode="add", strength=0), "feature_edits[1]", "edit_without_effect"),
    (edit(mode="scale", strength=1), "feature_edits[1]", "edit_without_effect"),
    (edit(mode="scale", unit="raw"), "feature_edits[1]", "edit_without_effect"),
    (edit(phase="generation", roles=["user"]), "feature_edits[1]", "edit_without_effect"),
    (edit(roles=["system"]), "feature_edits[1].roles", "edit_without_effect"),
    (edit(roles=[]), "feature_edits[1].roles", "edit_without_effect"),
    (edit(mode="push"), "feature_edits[1].mode", "invalid_value"),
    (edit(phase="generation") | {"max_tokens": 1}, "feature_edits[1].phase", "edit_without_effect"),
    ({"feature_edits": [EDIT] * 65}, "feature_edits", "array_above_max_length"),
    (edit(when={"feature": 3}), "feature_edits[1].when", "invalid_value"),
    (edit(when={"all": []}), "feature_edits[1].when.all", "empty_array"),
    (edit(when={"feature": 2, "op": ">", "value": 1}), "feature_edits[1].when.value", "invalid_value"),
    (
        {"abort_when": [{"not": {"feature": 3, "op": "~", "value": 1}}]},
        "abort_when[0].not.op",
        "invalid_value",
    ),
    ({"controller": {}}, "controller", "invalid_value"),
    ({"controller": NO_CONTROL, "feature_edits": [EDIT]}, "controller", "invalid_value"),
    ({"controller": NO_CONTROL | {"min_nudge_entropy": 0.5}}, "controller", "invalid_value"),
    # attributions that could not be given
    ({"attribution": {}}, "attribution.tokens", "invalid_value"),
    ({"attribution": {"tokens": []}}, "attribution.tokens", "empty_array"),
    ({"attribution": {"tokens": [0] * 257}}, "attribution.tokens", "array_above_max_length"),
    (
        {"attribution": {"tokens": [1, 9]}, "max_tokens": 9},
        "attribution.tokens[1]",
        "integer_above_max_value",
    ),
    ({"attribution": {"tokens": [0], "top_k": 101}}, "attribution.top_k", "integer_above_max_value"),
    ({"attribution": {"tokens": [-10]}, "max_tokens": 9}, "attribution.tokens[0]", "integer_below_min_value"),
    ({"attribution": {"tokens": [0], "target": {}}}, "attribution.target", "invalid_value"),
    ({"attribution": {"tokens": [0], "target": "x"}}, "attribution.target", "invalid_value"),
    (
        {"attribution": {"tokens": [0], "target": {"token": "two"}}},
        "attribution.target.token",
        "invalid_value",
    ),
    # the context
    ({"messages": [{"role": "user", "content": "x" * 300}]}, "messages", "context_length_exceeded"),
]


def post(http, body, content_type="application/json"):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return http.post("/v1/chat/completions", content=content, headers={"content-type": content_type})


def request(fields):
    return {"model": "org/tiny", "messages": HELLO} | fields


@pytest.mark.parametrize("fields", WITHOUT_EFFECT, ids=str)
def test_a_field_that_cannot_matter_is_accepted(http, fields):
    assert post(http, request(fields)).status_code == 200


@pytest.mark.parametrize(("fields", "param", "code"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_cannot_be_done_is_refused_by_name(http, engine, fields, param, code):
    answer = post(http, request(fields))
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code), error["message"]
    assert error["type"] == "invalid_request_error"
    assert not engine.generated


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"model": "gpt-9"}, None, "model_not_found"),
        (edit(feature=99), "feature_edits[1].feature", "feature_not_found"),
    ],
)
def test_what_does_not_exist_is_a_404(http, fields, param, code):
    answer = post(http, request(fields))
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (404, param, code)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b"[]",
        b'{"model": "\xff"}',
        b'{"model": "\\ud800"}',
        b'{"model": NaN}',
        b"[" * 100_000,
        b'{"messages": ' + b"[" * 100_000,
        b'{"x": ' + b'{"x":' * 100_000,
    ],
    ids=lambda body: repr(body[:20]),
)
def test_what_is_not_a_json_object_is_a_400(http, body):
    answer = post(http, body)
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "invalid_request_error"


def test_another_media_type_is_a_415(http):
    answer = post(http, request({}), content_type="text/plain")
    assert answer.status_code == 415
    assert "application/json" in answer.json()["error"]["message"]


def test_a_charset_beside_the_media_type_is_fine(http):
    assert post(http, request({}), content_type="Application/JSON; charset=utf-8").status_code == 200


def test_a_body_that_is_too_large_is_a_413(http):
    answer = post(http, request({"user": "x" * 10_000_001}))
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"


def test_an_error_says_what_was_sent_and_what_is_allowed(http):
    answer = post(http, request({"temperature": 200}))
    assert answer.json()["error"]["message"] == (
        "Invalid 'temperature': decimal above maximum value. Expected a value <= 2, but got 200 instead."
    )


def test_an_unknown_choice_is_answered_with_those_there_are(http):
    answer = post(http, request(edit(phase="answer")))
    assert "'all', 'generation', 'prompt'" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "fields", [{"tools": [TOOL]}, {"tool_choice": "required"}, {"functions": [{}]}], ids=str
)
def test_who_asks_for_tools_is_told_what_to_do_instead(http, fields):
    assert "response_format" in post(http, request(fields)).json()["error"]["message"]


def test_a_misspelt_field_is_answered_with_the_nearest(http):
    answer = post(http, request({"feature_edit": []}))
    assert "Did you mean 'feature_edits'?" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "fields", [{"x" * 100_000: 1}, message(role="x" * 100_000), {"n": [1] * 10_000}, {"model": "m" * 9_999}]
)
def test_an_error_does_not_repeat_all_that_was_sent(http, fields):
    assert len(post(http, request(fields)).content) < 1000


def test_a_raw_strength_of_a_feature_that_never_fired_is_not_held_to_its_h_max(http):
    assert post(http, request(edit(feature=2, unit="raw", strength=50))).status_code == 200
