"""Calls are told from text wherever the pieces are cut, and grammars let through what is read as calls."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llguidance import LLMatcher

from steersman.types import FunctionDefinition, FunctionTool
from steersman.types.tools import whole_calls
from steersman_server.answers.tool_calls import ToolCallReader
from steersman_server.plans.call_grammar import CallGrammar
from steersman_server.plans.masks import _known
from steersman_server.tool_syntax import HERMES, LIST, LLAMA, ToolSyntax

NAMES = ("f", "get_weather")
JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text('a"\\{}[] €', max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)
CALLS = st.tuples(st.sampled_from(NAMES), st.dictionaries(st.text(max_size=4), JSONS, max_size=2))
PARTS = ["<tool_call>", "</tool_call>", "<tool", "\n", " ", "[", "]", ",", "{", "}", '"', '{"name": "g"', "x"]
PARTS += ["<|python_tag|>"]
TEXTS = st.text("ab <tool_call>{\n", max_size=12).map(str.strip)


def call_in(syntax: ToolSyntax, name: str, arguments: dict) -> str:
    return json.dumps({"name": name, syntax.arguments: arguments}, ensure_ascii=False)


def answer_in(syntax: ToolSyntax, text: str, calls: list) -> str:
    """As a model of a family writes."""
    written = [call_in(syntax, name, arguments) for name, arguments in calls]
    if syntax is HERMES:
        wrapped = [f"<tool_call>\n{call}\n</tool_call>" for call in written]
        return "\n".join([text] * bool(text) + wrapped)
    if syntax is LIST:
        return f"{text}<tool_call>[{', '.join(written)}]</tool_call>"
    return written[0]


def read(syntax: ToolSyntax, answer: str, cuts=()):
    """Text, and calls, of an answer cut at some places."""
    reader = ToolCallReader(syntax, NAMES)
    places = sorted({min(cut, len(answer)) for cut in cuts} | {0, len(answer)})
    pieces = [answer[begin:end] for begin, end in zip(places, [*places[1:], len(answer)], strict=True)]
    text, deltas = "", []
    for number, piece in enumerate(pieces):
        more, new = reader.push(piece, last=number == len(pieces) - 1)
        text += more
        deltas += new
    calls = [(call.function.name, call.function.arguments) for call in whole_calls(deltas)]
    return text, calls, reader.called


@pytest.mark.parametrize("syntax", [HERMES, LIST, LLAMA], ids=lambda syntax: syntax.name)
@given(st.data())
def test_what_was_called_is_read_wherever_it_is_cut(syntax, data):
    text = "" if syntax is LLAMA else data.draw(TEXTS.filter(lambda text: "<tool_call>" not in text))
    if text.endswith("<"):
        text += "."
    calls = data.draw(st.lists(CALLS, min_size=1, max_size=1 if syntax is LLAMA else 3))
    answer = answer_in(syntax, text, calls)
    cuts = data.draw(st.lists(st.integers(0, len(answer)), max_size=9))
    said, found, called = read(syntax, answer, cuts)
    assert said == text
    assert [(name, json.loads(arguments)) for name, arguments in found] == calls
    assert called


@pytest.mark.parametrize("syntax", [HERMES, LIST, LLAMA], ids=lambda syntax: syntax.name)
@given(st.data())
def test_any_text_is_read_alike_wherever_it_is_cut(syntax, data):
    answer = "".join(
        data.draw(
            st.lists(
                st.sampled_from([*PARTS, f'{{"name": "f", "{syntax.arguments}": {{']),
                max_size=9,
            )
        )
    )
    cuts = data.draw(st.lists(st.integers(0, len(answer)), max_size=9))
    assert read(syntax, answer, cuts) == read(syntax, answer)


@pytest.mark.parametrize(
    ("syntax", "answer"),
    [
        (HERMES, "The tag <tool_call> begins a call.\n"),
        (HERMES, '<tool_call>{"name": "unheard_of", "arguments": {}}</tool_call>'),
        (HERMES, '<tool_call>{"name": "f", "argum'),
        (LIST, '<tool_call>{"name": "f", "arguments": {}}</tool_call>'),
        (LLAMA, '{"name": "Bob", "age": 4}'),
        (LLAMA, ' Then call {"name": "f", "parameters": {}} '),
    ],
    ids=str,
)
def test_what_is_no_call_is_text(syntax, answer):
    assert read(syntax, answer, range(len(answer))) == (answer, [], False)


def test_a_call_that_is_cut_off_has_the_arguments_so_far():
    assert read(HERMES, '<tool_call>{"name": "f", "arguments": {"a": [1') == ("", [("f", '{"a": [1')], False)


def test_an_empty_list_of_calls_says_nothing():
    assert read(LIST, "<tool_call>[]</tool_call>") == ("", [], False)


def test_the_tag_of_a_call_is_not_text():
    assert read(LLAMA, '<|python_tag|>{"name": "f", "parameters": {}}') == ("", [("f", "{}")], True)


def tool(name, strict=None, **properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    schema["additionalProperties"] = False
    return FunctionTool(FunctionDefinition(name=name, parameters=schema, strict=strict))


TOOLS = [tool("f", a={"type": "integer"}), tool("get_weather")]
ONE, TWO = ("f", {"a": 3}), ("get_weather", {})


def lets_through(tokenizer, syntax, answer, *, single=False, must=False, schema=None) -> bool:
    """Whether an answer may be written and end so."""
    grammar = CallGrammar(syntax, {}, single).text(TOOLS, must=must, schema=schema)
    matcher = LLMatcher(_known(tokenizer), LLMatcher.grammar_from_lark(grammar), log_level=0)
    assert not matcher.is_error(), matcher.get_error()
    tokens = tokenizer.encode(answer, add_special_tokens=False)
    return all(map(matcher.consume_token, tokens)) and matcher.is_accepting()


@pytest.mark.parametrize("syntax", [HERMES, LIST, LLAMA], ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("must", [False, True], ids=["auto", "required"])
def test_calls_as_models_write_them_are_let_through(tiny_tokenizer, syntax, must):
    calls = [ONE] if syntax is LLAMA else [ONE, TWO]
    assert lets_through(tiny_tokenizer, syntax, answer_in(syntax, "", calls), must=must)


@pytest.mark.parametrize("syntax", [HERMES, LIST, LLAMA], ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("text", ["Hello", "", '{"name": "Bob"}', "a < b <tool", "[1]"])
def test_text_is_let_through_unless_there_must_be_a_call(tiny_tokenizer, syntax, text):
    assert lets_through(tiny_tokenizer, syntax, text)
    assert not lets_through(tiny_tokenizer, syntax, text, must=True)


@pytest.mark.parametrize("syntax", [HERMES, LIST], ids=lambda syntax: syntax.name)
def test_text_may_come_before_calls_and_not_behind(tiny_tokenizer, syntax):
    answer = answer_in(syntax, "So:\n", [ONE])
    assert lets_through(tiny_tokenizer, syntax, answer)
    assert not lets_through(tiny_tokenizer, syntax, answer + "Done.")
    assert not lets_through(tiny_tokenizer, syntax, answer, must=True)


@pytest.mark.parametrize("syntax", [HERMES, LIST, LLAMA], ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("must", [False, True], ids=["auto", "required"])
@pytest.mark.parametrize(
    "call", [("f", {}), ("f", {"a": "x"}), ("f", {"a": 1, "b": 2}), ("get_weather", {"a": 1})]
)
def test_arguments_that_the_schema_does_not_allow_cannot_be_written(tiny_tokenizer, syntax, must, call):
    assert not lets_through(tiny_tokenizer, syntax, answer_in(syntax, "", [call]), must=must)


@pytest.mark.parametrize("syntax", [HERMES, LIST], ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("must", [False, True], ids=["auto", "required"])
def test_one_call_at_a_time_is_one(tiny_tokenizer, syntax, must):
    one, two = answer_in(syntax, "", [ONE]), answer_in(syntax, "", [ONE, TWO])
    assert lets_through(tiny_tokenizer, syntax, one, must=must, single=True)
    assert not lets_through(tiny_tokenizer, syntax, two, must=must, single=True)


@pytest.mark.parametrize(("must", "allowed"), [(False, True), (True, False)], ids=["auto", "required"])
def test_an_empty_list_of_calls_is_for_models_that_may_do_without(tiny_tokenizer, must, allowed):
    assert lets_through(tiny_tokenizer, LIST, "<tool_call>[]</tool_call>", must=must) == allowed


@pytest.mark.parametrize(("text", "allowed"), [('{"b": 1}', True), ("Hello", False), ("", False)])
def test_an_answer_of_a_schema_or_a_call(tiny_tokenizer, text, allowed):
    assert lets_through(tiny_tokenizer, HERMES, text, schema={"type": "object"}) == allowed
    assert lets_through(tiny_tokenizer, HERMES, answer_in(HERMES, "", [ONE]), schema={"type": "object"})
