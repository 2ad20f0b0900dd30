"""A conversation as its chat template writes it, and where each message stands in that text."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, Protocol

from transformers import PreTrainedTokenizerBase

END_TOKENS = ("<|eot_id|>", "<|eom_id|>", "<|im_end|>")
"""Tokens that end a message in Llama 3's and ChatML's templates, beside the tokenizer's own."""
PLACEHOLDER = "\ufdd0"
"""A character that Unicode keeps out of texts."""

Message = Mapping[str, Any]
"""As chat templates take it: a `role`, a `content`, perhaps `tool_calls`, and what else there is."""
Tools = Sequence[Mapping[str, Any]]
"""Functions that the model may call, as chat templates take them."""
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A conversation as text."""

    text: str
    starts: list[int]
    """Where each message begins, with what the template puts before it."""
    contents: list[Span]
    """What somebody wrote in each, or called; empty where the template writes something else."""
    end: int
    """Where what invites an answer begins."""


class Template(Protocol):
    """A chat template with its tools."""

    def __call__(self, messages: Sequence[Message], *, generate: bool, tokenize: bool = False) -> Any:
        """The text of some messages, or its tokens."""
        ...


def template_of(tokenizer: PreTrainedTokenizerBase, tools: Tools | None = None) -> Template:
    """The tokenizer's chat template; it raises ValueError for what it refuses."""
    return partial(_apply, tokenizer, tools)


def rendered(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], tools: Tools | None, *, generate: bool
) -> Rendered:
    """The text of a conversation, and what is where.

    Raises:
        ValueError: The template refuses the conversation, leaves a part of it out, or does not write messages
            one after another so that it could be told whose each part is.
    """
    template = template_of(tokenizer, tools)
    if tools is not None or any(map(is_of_tools, messages)):
        text = template(messages, generate=False)
        whole = template(messages, generate=generate)
        contents = _contents(template, messages, whole, generate=generate)
        _check_nothing_is_lost(messages, whole, contents)
        starts = _starts_between(whole, contents, tokenizer)
    else:
        text, starts = _grown(template, messages)
        whole = template(messages, generate=generate)
        contents = _contents(template, messages, whole, generate=generate)
    if not whole.startswith(text):
        raise ValueError("The chat template rewrites earlier messages before an answer.")
    return Rendered(whole, starts, contents, len(text))


def is_of_tools(message: Message) -> bool:
    """Whether it calls tools, or holds what one answered."""
    return message["role"] == "tool" or bool(message.get("tool_calls"))


def strings_in(value: Any) -> Iterator[str]:
    """All texts that something holds, names of fields too."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield name
            yield from strings_in(inner)
    elif isinstance(value, Sequence):
        for inner in value:
            yield from strings_in(inner)


def _apply(
    tokenizer: PreTrainedTokenizerBase,
    tools: Tools | None,
    messages: Sequence[Message],
    *,
    generate: bool,
    tokenize: bool = False,
) -> Any:
    if tokenizer.chat_template is None:
        raise ValueError("The tokenizer has no chat template: this is no chat model.")
    try:
        return tokenizer.apply_chat_template(
            [dict(message) for message in messages],
            tools=None if tools is None else [dict(tool) for tool in tools],
            tokenize=tokenize,
            add_generation_prompt=generate,
            return_dict=False,
        )
    except Exception as error:  # whatever a template, which is a program, raises
        raise ValueError(f"The chat template refuses the conversation: {error}") from error


def _grown(template: Template, messages: Sequence[Message]) -> tuple[str, list[int]]:
    """The text of messages, and where each begins: where the text of those before it ends."""
    text, starts = "", []
    for count in range(1, len(messages) + 1):
        longer = template(messages[:count], generate=False)
        if not longer.startswith(text):
            raise ValueError("The chat template rewrites earlier messages when one is added.")
        starts.append(len(text))
        text = longer
    return text, starts


def _starts_between(whole: str, contents: Sequence[Span], tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Where each message begins: behind the token that ends the one before, if there is one.

    Templates that know tools write some messages in other ways when another follows.
    """
    ends = re.compile("(?:" + "|".join(map(re.escape, END_TOKENS)) + r")\s*")
    starts = [0]
    for (_, high), (low, _) in pairwise(contents):
        found = ends.search(whole, high, low)
        starts.append(found.end() if found else low)
    return starts


def _contents(template: Template, messages: Sequence[Message], whole: str, *, generate: bool) -> list[Span]:
    """Where the template put each message's content, as it is or stripped; nowhere is an empty span.

    The template is asked to write a placeholder in place of each, which shows what it puts around them.
    """
    placeholders = [
        {name: value for name, value in message.items() if name != "tool_calls"} | {"content": PLACEHOLDER}
        for message in messages
    ]
    around = template(placeholders, generate=generate).split(PLACEHOLDER)
    spans, at = [], 0
    if len(around) == len(messages) + 1:
        for message, before, after in zip(messages, around, around[1:], strict=False):
            at += len(before)
            end = _end(message, whole, at, after)
            spans.append((at, end))
            at = end
        if whole[at:] == around[-1]:
            return spans
    return [(len(whole), len(whole))] * len(messages)


def _end(message: Message, whole: str, at: int, after: str) -> int:
    """Where what a message says ends, if it begins at `at`."""
    if message.get("tool_calls"):
        return max(at, whole.find(after, at))
    written = [message["content"], message["content"].strip()]
    if message["role"] == "tool":
        written.append(json.dumps(message["content"], ensure_ascii=False)[1:-1])
    return next((at + len(text) for text in written if whole.startswith(text, at)), at)


def _check_nothing_is_lost(messages: Sequence[Message], whole: str, contents: Sequence[Span]) -> None:
    """Refuse a conversation of which the model would not read a part, or not as it is."""
    for message, (low, high) in zip(messages, contents, strict=True):
        calls = message.get("tool_calls") or ()
        needed = [call["function"]["name"] for call in calls]
        if calls:
            needed.append(message["content"].strip())
        lost = low == high and message["content"].strip()
        if lost or not all(part in whole[low:high] for part in needed):
            what = "calls of tools" if calls else f"messages of the role {message['role']!r} beside tools"
            raise ValueError(f"The chat template of this model does not write {what} as they are.")
