"""Small chat templates that write tools as the families of models do, for the tiny tokenizer."""

import copy

from transformers import PreTrainedTokenizerFast

BEGIN = "<|im_start|>{{ message.role }}"
NEWLINE = "{{ '\n' }}"
INVITE = "{% if add_generation_prompt %}<|im_start|>assistant" + NEWLINE + "{% endif %}"
TOLD = (
    "{% if tools %}<|im_start|>system"
    + NEWLINE
    + "{% if messages[0].role == 'system' %}{{ messages[0].content }}"
    + NEWLINE
    + "{% endif %}{% for tool in tools %}{{ tool | tojson }}"
    + NEWLINE
    + "{% endfor %}{}<|im_end|>"
    + NEWLINE
    + "{% endif %}"
)
SKIPPED = "{% if tools and loop.first and message.role == 'system' %}{% else %}"
HERMES = (
    TOLD.replace("{}", '<tool_call>{"name": …, "arguments": …}</tool_call>')
    + "{% for message in messages %}"
    + SKIPPED
    + "{% if message.role == 'tool' %}"
    + "{% if loop.previtem.role != 'tool' %}<|im_start|>user{% endif %}"
    + NEWLINE
    + "<tool_response>"
    + NEWLINE
    + "{{ message.content }}"
    + NEWLINE
    + "</tool_response>{% if loop.last or loop.nextitem.role != 'tool' %}<|im_end|>"
    + NEWLINE
    + "{% endif %}{% else %}"
    + BEGIN
    + "{% if message.content or not message.tool_calls %}"
    + NEWLINE
    + "{{ message.content }}{% endif %}"
    + "{% for call in message.tool_calls %}"
    + NEWLINE
    + "<tool_call>"
    + NEWLINE
    + '{"name": "{{ call.function.name }}", "arguments": {{ call.function.arguments | tojson }}}'
    + NEWLINE
    + "</tool_call>{% endfor %}<|im_end|>"
    + NEWLINE
    + "{% endif %}{% endif %}{% endfor %}"
    + INVITE
)
"""Each call in a wrapping of its own; answers of tools share one turn of the user's."""
LIST = (
    TOLD.replace("{}", '<tool_call>[{"name": …, "arguments": …}]</tool_call>')
    + "{% for message in messages %}"
    + SKIPPED
    + BEGIN
    + NEWLINE
    + "{{ message.content }}<|im_end|>"
    + NEWLINE
    + "{% endif %}{% endfor %}"
    + INVITE
)
"""Only says how to call: calls of earlier turns are left out."""
LLAMA = (
    "{% if tools and (messages | selectattr('role', 'equalto', 'user') | list | length) == 0 %}"
    + "{{ raise_exception('there is no message to put tools into') }}{% endif %}"
    + "{% set told = namespace(done=false) %}{% for message in messages %}<|im_start|>"
    + "{{ 'ipython' if message.role == 'tool' else message.role }}"
    + NEWLINE
    + "{% if tools and message.role == 'user' and not told.done %}{% set told.done = true %}"
    + "{{ tools | tojson }}"
    + NEWLINE
    + "{% endif %}{% if message.tool_calls %}"
    + "{% if message.tool_calls | length > 1 %}{{ raise_exception('one call at a time') }}{% endif %}"
    + '{"name": "{{ message.tool_calls[0].function.name }}", '
    + '"parameters": {{ message.tool_calls[0].function.arguments | tojson }}}'
    + "{% elif message.role == 'tool' %}{{ message.content | tojson }}"
    + "{% else %}{{ message.content }}{% endif %}<|im_end|>"
    + NEWLINE
    + "{% endfor %}"
    + INVITE
)
"""One call is the whole answer; tools stand in the user's first message."""
ELSE = HERMES.replace(
    '{"name": "{{ call.function.name }}", "arguments": ', "<function={{ call.function.name }}>"
)
"""Calls as nobody here reads them."""


def with_template(tokenizer: PreTrainedTokenizerFast, template: str) -> PreTrainedTokenizerFast:
    """The same tokenizer with another chat template."""
    changed = copy.deepcopy(tokenizer)
    changed.chat_template = template
    return changed
