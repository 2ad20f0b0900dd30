"""How a model calls tools is told from what its chat template does."""

import pytest
from tests.tool_templates import ELSE, HERMES, LIST, LLAMA, with_template

from steersman_server import tool_syntax
from steersman_server.tool_syntax import KNOWS_NONE, syntax_of

LLAMA_3 = (
    "{% for message in messages %}{{ '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n' }}"
    "{{ message['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)


@pytest.mark.parametrize(
    ("template", "syntax"),
    [(HERMES, tool_syntax.HERMES), (LIST, tool_syntax.LIST), (LLAMA, tool_syntax.LLAMA)],
    ids=["hermes", "list", "llama"],
)
def test_each_family_is_told(tiny_tokenizer, template, syntax):
    assert syntax_of(with_template(tiny_tokenizer, template)) == syntax


def test_a_call_may_be_written_with_other_blanks(tiny_tokenizer):
    tight = HERMES.replace('", "arguments": ', '","arguments":').replace('{"name": ', '{"name":')
    assert syntax_of(with_template(tiny_tokenizer, tight)) == tool_syntax.HERMES


@pytest.mark.parametrize("template", [None, LLAMA_3], ids=["ChatML", "Llama 3"])
def test_the_templates_of_both_presets_know_no_tools(tiny_tokenizer, template):
    tokenizer = tiny_tokenizer if template is None else with_template(tiny_tokenizer, template)
    assert syntax_of(tokenizer) == KNOWS_NONE


def test_a_form_that_cannot_be_read_is_named(tiny_tokenizer):
    found = syntax_of(with_template(tiny_tokenizer, ELSE))
    assert isinstance(found, str)
    assert "<function=steersman_probe>" in found


def test_a_template_that_refuses_tools_knows_none(tiny_tokenizer):
    refusing = "{% if tools %}{{ raise_exception('no') }}{% endif %}" + HERMES
    assert syntax_of(with_template(tiny_tokenizer, refusing)) == KNOWS_NONE
