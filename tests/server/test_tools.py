"""Tools: what the model is told, what it calls, and what clients see of it."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from litestar.testing import TestClient
from openai import pydantic_function_tool
from pydantic import BaseModel
from tests.random_llama import random_llama
from tests.tool_templates import ELSE, HERMES, LIST, LLAMA, with_template
from transformers import LlamaForCausalLM

from steersman import Client, Message
from steersman_engine.host import HostModel
from steersman_engine.local_engine import LocalEngine
from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.moderation.policy import PolicyTable

from .conftest import FakeEngine, openai_on, serve

HELLO = {"role": "user", "content": "Hi"}
SCHEMA = {
    "type": "object",
    "properties": {"x": {"type": "integer"}},
    "required": ["x"],
    "additionalProperties": False,
}
F = {"type": "function", "function": {"name": "f", "description": "Does it.", "parameters": SCHEMA}}
G = {"type": "function", "function": {"name": "g"}}
CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
CALLED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOLD = {"role": "tool", "content": "2", "tool_call_id": "a"}
WRITTEN = {
    HERMES: '<tool_call>\n{"name": "f", "arguments": {"x": 1}}\n</tool_call>',
    LIST: '<tool_call>[{"name": "f", "arguments": {"x": 1}}]</tool_call>',
    LLAMA: '{"name": "f", "parameters": {"x": 1}}',
}
FAMILIES = pytest.mark.parametrize("template", [HERMES, LIST, LLAMA], ids=["hermes", "list", "llama"])
Start = Callable[..., tuple[TestClient, FakeEngine]]


def roomy_engine(tokenizer) -> FakeEngine:
    engine = FakeEngine(tokenizer)
    engine.info = replace(engine.info, max_positions=2048)
    return engine


def client_of(tokenizer, engine, catalog, **settings) -> TestClient:
    app = create_app(serve(tokenizer, engine, catalog), ServerConfig(**settings))
    return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)


@pytest.fixture(scope="module")
def start(tiny_tokenizer, catalog) -> Iterator[Start]:
    """The application for a model with some chat template, started once for each."""
    started: dict[str, tuple[TestClient, FakeEngine]] = {}

    def of(template: str) -> tuple[TestClient, FakeEngine]:
        if template not in started:
            tokenizer = with_template(tiny_tokenizer, template)
            engine = roomy_engine(tokenizer)
            started[template] = client_of(tokenizer, engine, catalog).__enter__(), engine
        started[template][1].reset()
        return started[template]

    yield of
    for client, _ in started.values():
        client.__exit__()


@pytest.fixture
def hermes(start: Start) -> tuple[TestClient, FakeEngine]:
    http, engine = start(HERMES)
    engine.says(f"Let me see.\n{WRITTEN[HERMES]}")
    return http, engine


def post(http, **fields):
    return http.post("/v1/chat/completions", json={"messages": [HELLO], "tools": [F, G]} | fields)


def choice(http, **fields):
    answer = post(http, **fields)
    assert answer.status_code == 200, answer.text
    return answer.json()["choices"][0]


def chunks(http, **fields):
    *frames, done, _ = post(http, stream=True, **fields).text.split("\n\n")
    assert done == "data: [DONE]"
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def deltas(http, **fields):
    return [chunk["choices"][0]["delta"] for chunk in chunks(http, **fields) if chunk["choices"]]


@FAMILIES
def test_a_call_comes_back_as_a_call(start, template):
    http, engine = start(template)
    engine.says(WRITTEN[template])
    found = choice(http)
    (call,) = found["message"]["tool_calls"]
    assert call.pop("id").startswith("call_")
    assert call == {"type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}}
    assert (found["message"]["content"], found["finish_reason"]) == (None, "tool_calls")


@FAMILIES
def test_an_answer_without_a_call_is_as_ever(start, template):
    http, _ = start(template)
    found = choice(http)
    assert found["message"] == {"role": "assistant", "content": "Hello!", "refusal": None}
    assert found["finish_reason"] == "stop"


@FAMILIES
def test_the_model_is_told_of_its_tools(start, template):
    http, engine = start(template)
    assert post(http).status_code == 200
    prompt = engine.tokenizer.decode(engine.generated[0].prompt.token_ids)
    assert '"name": "f", "description": "Does it."' in prompt


def test_tools_that_may_not_be_called_are_not_told_of(hermes):
    http, engine = hermes
    found = choice(http, tool_choice="none")
    assert "tool_calls" not in found["message"]
    assert "Does it." not in engine.tokenizer.decode(engine.generated[0].prompt.token_ids)


def test_a_stream_opens_a_call_with_its_name_and_goes_on_with_arguments(hermes):
    http, _ = hermes
    said = deltas(http)
    assert said[0] == {"role": "assistant"}
    calls = [call for delta in said for call in delta.get("tool_calls", ())]
    assert calls[0] == {
        "index": 0,
        "id": calls[0]["id"],
        "type": "function",
        "function": {"name": "f", "arguments": ""},
    }
    assert [call["function"]["arguments"] for call in calls[1:]] == list('{"x": 1}')
    assert all(call.keys() == {"index", "function"} for call in calls[1:])
    assert "".join(delta.get("content", "") for delta in said) == "Let me see."
    assert chunks(http)[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_several_calls_are_counted(start):
    http, engine = start(HERMES)
    engine.says(f'{WRITTEN[HERMES]}\n<tool_call>\n{{"name": "g", "arguments": {{}}}}\n</tool_call>')
    calls = choice(http)["message"]["tool_calls"]
    assert [call["function"]["name"] for call in calls] == ["f", "g"]
    assert len({call["id"] for call in calls}) == 2
    streamed = [call for delta in deltas(http) for call in delta.get("tool_calls", ()) if "id" in call]
    assert [call["index"] for call in streamed] == [0, 1]


def test_one_call_at_a_time_ends_the_answer_after_it(start):
    http, engine = start(HERMES)
    engine.says(f"{WRITTEN[HERMES]}\n{WRITTEN[HERMES]}")
    found = choice(http, parallel_tool_calls=False, tool_choice="required")
    assert len(found["message"]["tool_calls"]) == 1
    assert found["finish_reason"] == "tool_calls"


def test_a_call_that_is_cut_off_says_so(hermes):
    http, engine = hermes
    found = choice(http, max_tokens=len(engine.script) - 15)
    assert found["finish_reason"] == "length"
    assert found["message"]["tool_calls"][0]["function"]["arguments"] == '{"x": 1}'[:-1]


def test_a_call_that_is_cut_off_before_its_arguments_is_text(hermes):
    http, engine = hermes
    found = choice(http, max_tokens=len(engine.script) - 30)
    assert found["message"]["content"].startswith("Let me see.\n<tool_call>")
    assert ("tool_calls" in found["message"], found["finish_reason"]) == (False, "length")


def test_a_stop_string_ends_text_before_any_call(hermes):
    http, _ = hermes
    found = choice(http, stop="see")
    assert (found["message"]["content"], found["finish_reason"]) == ("Let me ", "stop")


def test_the_log_probabilities_are_those_of_all_that_was_written(hermes):
    http, _ = hermes
    asked = {"logprobs": True, "top_logprobs": 1}
    tokens = choice(http, **asked)["logprobs"]["content"]
    assert "".join(token["token"] for token in tokens) == f"Let me see.\n{WRITTEN[HERMES]}"
    streamed = [chunk["choices"][0]["logprobs"] for chunk in chunks(http, **asked)]
    assert [token for part in streamed if part for token in part["content"]] == tokens


def test_log_probabilities_of_text_that_is_held_back_come_with_it(hermes):
    http, engine = hermes
    engine.says("<t x <tool")
    for chunk in chunks(http, logprobs=True):
        (part,) = chunk["choices"]
        tokens = part["logprobs"]["content"] if part["logprobs"] else []
        assert "".join(token["token"] for token in tokens) == part["delta"].get("content", "")


def test_null_in_a_schema_is_a_value(hermes):
    http, engine = hermes
    parameters = {"type": "object", "properties": {"a": {"const": None}}}
    assert post(http, **tool(parameters=parameters)).status_code == 200
    assert '"const": null' in engine.tokenizer.decode(engine.generated[0].prompt.token_ids)


def test_choices_edits_conditions_and_usage_go_with_tools(hermes):
    http, engine = hermes
    answer = post(http, n=2, feature_edits=[{"feature": 1, "strength": 0.5}]).json()
    assert [len(one["message"]["tool_calls"]) for one in answer["choices"]] == [1, 1]
    assert answer["usage"]["completion_tokens"] == 2 * len(engine.script)
    assert answer["steering"]["edits"][0]["tokens_edited"] == 2 * len(engine.script)
    engine.aborts_at = 3
    found = choice(http, abort_when=[{"feature": 1, "op": ">", "value": 0.5}])
    assert (found["finish_reason"], found["message"]["content"]) == ("content_filter", "Let")


@pytest.mark.parametrize("special", [True, False], ids=["special", "added"])
@pytest.mark.parametrize(
    ("template", "tokens"),
    [(LLAMA, ["<|python_tag|>"]), (HERMES, ["<tool_call>", "</tool_call>"]), (LIST, ["<tool_call>"])],
    ids=["llama", "hermes", "list"],
)
def test_tokens_of_their_own_may_be_part_of_a_call(tiny_tokenizer, catalog, template, tokens, special):
    tokenizer = with_template(tiny_tokenizer, template)
    tokenizer.add_tokens(tokens, special_tokens=special)
    engine = roomy_engine(tokenizer)
    engine.says((tokens[0] if template is LLAMA else "So: ") + WRITTEN[template])
    assert tokenizer.convert_tokens_to_ids(tokens[0]) in engine.script
    with client_of(tokenizer, engine, catalog) as http:
        found = choice(http)
        assert found["message"]["tool_calls"][0]["function"]["arguments"] == '{"x": 1}'
        assert found["message"]["content"] == (None if template is LLAMA else "So:")
        engine.says(WRITTEN[template])
        for how in ("auto", "required"):
            assert choice(http, tool_choice=how)["finish_reason"] == "tool_calls"


def test_an_answer_may_be_json_of_a_schema_or_a_call(hermes):
    http, engine = hermes
    asked = {"response_format": {"type": "json_object"}}
    engine.says('{"a": 7}')
    assert choice(http, **asked)["message"]["content"] == '{"a": 7}'
    engine.says(WRITTEN[HERMES])
    assert choice(http, **asked)["finish_reason"] == "tool_calls"


def test_a_conversation_goes_on_from_a_call(hermes):
    http, engine = hermes
    message = choice(http)["message"]
    told = TOLD | {"tool_call_id": message["tool_calls"][0]["id"]}
    assert post(http, messages=[HELLO, message, told]).status_code == 200
    prompt = engine.tokenizer.decode(engine.generated[-1].prompt.token_ids)
    assert f"assistant\nLet me see.\n{WRITTEN[HERMES]}<|im_end|>" in prompt
    assert "<tool_response>\n2\n</tool_response>" in prompt


def test_messages_of_tools_can_be_inspected(hermes):
    http, _ = hermes
    answer = http.post("/v1/features/inspect", json={"messages": [HELLO, CALLED, TOLD]})
    assert answer.status_code == 200, answer.text
    tokens = answer.json()["tokens"]
    assert {token["role"] for token in tokens} == {"user", "assistant"}


# --- required, by a random model


@pytest.fixture(scope="module")
def roomy_model(tiny_tokenizer) -> LlamaForCausalLM:
    return random_llama(len(tiny_tokenizer), num_layers=2, num_positions=2048)


@FAMILIES
def test_a_random_model_that_must_call_does(tiny_tokenizer, roomy_model, tiny_sae, wide_catalog, template):
    tokenizer = with_template(tiny_tokenizer, template)
    engine = LocalEngine(HostModel(roomy_model, 1, name="tiny"), tiny_sae, sink_norm=float("inf"))
    properties = {"city": {"type": "string", "maxLength": 5}, "unit": {"enum": ["C", "F"]}}
    schema = SCHEMA | {"properties": properties, "required": ["city", "unit"]}
    weather = {"type": "function", "function": {"name": "weather", "parameters": schema, "strict": True}}
    named = {"type": "function", "function": {"name": "weather"}}
    edits = [{"feature": 7, "strength": 2.0}]
    with client_of(tokenizer, engine, wide_catalog) as http:
        for asked in ({"tool_choice": "required"}, {"tool_choice": named, "feature_edits": edits}):
            answer = post(http, tools=[G, weather], parallel_tool_calls=False, n=4, seed=1, **asked)
            for found in answer.json()["choices"]:
                (call,) = found["message"]["tool_calls"]
                arguments = json.loads(call["function"]["arguments"])
                assert found["finish_reason"] == "tool_calls"
                if call["function"]["name"] == "g":
                    assert (asked["tool_choice"], arguments) == ("required", {})
                else:
                    assert arguments["unit"] in ("C", "F") and len(arguments["city"]) <= 5
    asyncio.run(engine.aclose())


# --- clients


class Doing(BaseModel):
    """Does it."""

    x: int


def test_openais_client_reads_calls_and_parses_their_arguments(hermes):
    http, engine = hermes
    tool = pydantic_function_tool(Doing, name="f")
    asked: Any = {"model": "org/tiny", "messages": [HELLO], "tools": [tool]}
    client: Any = openai_on(http)
    engine.says(WRITTEN[HERMES])
    parsed = client.chat.completions.parse(**asked, tool_choice="required").choices[0]
    assert parsed.message.tool_calls[0].function.parsed_arguments == Doing(x=1)
    with client.chat.completions.stream(**asked) as stream:
        events = [event.type for event in stream]
        final = stream.get_final_completion().choices[0]
    assert events.count("tool_calls.function.arguments.done") == 1
    assert final.message.tool_calls[0].function.parsed_arguments == Doing(x=1)
    assert (final.message.content, final.finish_reason) == (parsed.message.content, "tool_calls")


def test_openais_client_sends_a_call_back_as_it_came(hermes):
    http, _ = hermes
    client: Any = openai_on(http)
    message = client.chat.completions.create(model="org/tiny", messages=[HELLO], tools=[F]).choices[0].message
    told = {
        "role": "tool",
        "tool_call_id": message.tool_calls[0].id,
        "content": [{"type": "text", "text": "2"}],
    }
    again = client.chat.completions.create(model="org/tiny", messages=[HELLO, message, told], tools=[F])
    assert again.choices[0].finish_reason == "tool_calls"


def test_our_client_says_the_same_whole_and_streamed(hermes):
    http, _ = hermes
    client = Client(http=http, max_retries=0)
    asked: Any = {"messages": [Message("user", "Hi")], "tools": [F]}
    whole = client.chat.completions.create(**asked).choices[0]
    stream = client.chat.completions.create(**asked, stream=True)
    for _ in stream:
        pass
    assert whole.message.tool_calls is not None
    assert [c.function for c in stream.tool_calls] == [c.function for c in whole.message.tool_calls]
    assert (stream.text, stream.finish_reason) == (whole.message.content, whole.finish_reason)
    told = Message("tool", "2", tool_call_id=stream.tool_calls[0].id)
    client.chat.completions.create(messages=[*asked["messages"], stream.message, told], tools=[F])


# --- what is refused


def tool(**function):
    return {"tools": [F, {"type": "function", "function": {"name": "h"} | function}]}


NAMED = {"type": "function", "function": {"name": "zz"}}
ALLOWED = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED]}}
PATTERN = {"type": "object", "properties": {"a": {"not": {"type": "string"}}}}
WRONG = [
    (tool(name="f"), "tools[1].function.name", "invalid_value"),
    (tool(name="two words"), "tools[1].function.name", "invalid_value"),
    (tool(parameters={"type": "array"}), "tools[1].function.parameters", "invalid_value"),
    (tool(parameters={"type": "object", "properties": 5}), "tools[1].function.parameters", "invalid_value"),
    (tool(parameters=PATTERN, strict=True), "tools[1].function.parameters", "invalid_value"),
    ({"tools": [F] * 129}, "tools", "array_above_max_length"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "b"}}}},
        "response_format.json_schema.schema",
        "invalid_value",
    ),
    ({"tool_choice": "sometimes"}, "tool_choice", "invalid_value"),
    ({"tool_choice": NAMED}, "tool_choice.function.name", "invalid_value"),
    ({"tool_choice": ALLOWED}, "tool_choice.allowed_tools.tools[0].function.name", "invalid_value"),
    ({"tools": [], "tool_choice": "required"}, "tool_choice", "invalid_value"),
    ({"messages": [HELLO, TOLD]}, "messages[1].tool_call_id", "invalid_value"),
    ({"messages": [HELLO, CALLED, TOLD, TOLD]}, "messages[3].tool_call_id", "invalid_value"),
    ({"messages": [HELLO, CALLED]}, "messages[1].tool_calls[0]", "invalid_value"),
    ({"messages": [HELLO, CALLED, HELLO]}, "messages[1].tool_calls[0]", "invalid_value"),
    ({"messages": [HELLO, {"role": "tool", "content": "2"}]}, "messages[1].tool_call_id",
     "missing_required_parameter"),
    ({"messages": [HELLO | {"tool_call_id": "a"}]}, "messages[0].tool_call_id", "invalid_value"),
    ({"messages": [HELLO | {"tool_calls": [CALL]}]}, "messages[0].tool_calls", "invalid_value"),
    ({"messages": [CALLED | {"tool_calls": [CALL, CALL]}]}, "messages[0].tool_calls[1].id", "invalid_value"),
    ({"messages": [CALLED | {"tool_calls": [CALL | {"function": {"name": "f", "arguments": "[1]"}}]}]},
     "messages[0].tool_calls[0].function.arguments", "invalid_value"),
    ({"messages": [{"role": "assistant", "tool_calls": []}]}, "messages[0].content",
     "missing_required_parameter"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "param", "code"), WRONG, ids=lambda value: str(value)[:60])
def test_what_is_wrong_with_tools_is_named(hermes, fields, param, code):
    http, engine = hermes
    answer = post(http, **fields)
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code), error["message"]
    assert not engine.generated


@pytest.mark.parametrize(
    "fields",
    [
        tool(parameters=PATTERN),
        tool(description=None, parameters=None, strict=None),
        tool(parameters={"type": "object", "properties": {"a": {"enum": ["x", None]}}}, strict=True),
        {"tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [G]}}},
        {"messages": [HELLO, CALLED, TOLD], "tools": []},
    ],
    ids=str,
)
def test_what_is_right_with_tools_is_taken(hermes, fields):
    http, _ = hermes
    if "tool_choice" in fields:
        fields = fields | {"tools": [F, G]}
    assert post(http, **fields).status_code == 200


def test_only_allowed_tools_are_called(hermes):
    http, engine = hermes
    engine.says(WRITTEN[HERMES])
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}
    found = choice(http, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert found["message"]["tool_calls"][0]["function"]["name"] == "g"


def test_a_syntax_that_cannot_be_read_is_refused_by_name(start):
    http, _ = start(ELSE)
    error = post(http).json()["error"]
    assert (error["param"], error["code"]) == ("tools", "unsupported_parameter")
    assert "<function=" in error["message"]


def test_calls_that_a_template_leaves_out_are_refused(start):
    http, _ = start(LIST)
    error = post(http, messages=[HELLO, CALLED, TOLD]).json()["error"]
    assert "does not write calls of tools" in error["message"]


def test_json_answers_that_would_look_like_calls_are_refused(start):
    http, _ = start(LLAMA)
    error = post(http, response_format={"type": "json_object"}).json()["error"]
    assert (error["param"], error["code"]) == ("response_format", "unsupported_value")
    assert choice(http, response_format={"type": "json_object"}, tool_choice="required")


def test_what_a_call_says_is_moderated(tiny_tokenizer, catalog):
    tokenizer = with_template(tiny_tokenizer, HERMES)
    policy = PolicyTable(inputs={"crime": "block"})
    with client_of(tokenizer, roomy_engine(tokenizer), catalog, moderation_policy=policy) as http:
        bad = CALL | {"function": {"name": "f", "arguments": '{"x": "fake passport"}'}}
        error = post(http, messages=[HELLO, CALLED | {"tool_calls": [bad]}, TOLD]).json()["error"]
        assert error["param"] == "messages[1].tool_calls[0].function.arguments"
        error = post(http, **tool(description="fake passport")).json()["error"]
        assert error["param"] == "tools[1]"
