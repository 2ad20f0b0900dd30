"""A conversation as the model reads it: token ids, and whose and what kind each token is."""

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from transformers import PreTrainedTokenizerBase

END_TOKENS = ("<|eot_id|>", "<|im_end|>")
"""Tokens that end a message in Llama 3's and ChatML's templates, beside the tokenizer's own."""
ROLES = ("system", "user", "assistant")
"""A token's role is its index here."""


class Kind(IntEnum):
    """What a token of a rendered conversation is."""

    BOS = 0
    """The first token."""
    TEMPLATE = 1
    """What the chat template puts around a message, its role's name included."""
    CONTENT = 2
    """What somebody wrote."""
    END = 3
    """The token that ends a message."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A rendered conversation; the three tuples are parallel."""

    token_ids: tuple[int, ...]
    roles: tuple[int, ...]
    kinds: tuple[Kind, ...]

    def __len__(self) -> int:
        return len(self.token_ids)


def render(tokenizer: PreTrainedTokenizerBase, messages: list[dict[str, str]], *, generate: bool) -> Prompt:
    """Apply the model's chat template to `messages`, each with a `role` and a `content`.

    With `generate` it ends where the assistant's answer begins.

    Raises:
        ValueError: The template refuses the conversation, or does not write messages one after
            another so that a token's role could be told.
    """
    text, starts = "", []
    for count in range(1, len(messages) + 1):
        longer = _template(tokenizer, messages[:count], generate=False)
        if not longer.startswith(text):
            raise ValueError("The chat template rewrites earlier messages when one is added.")
        starts.append(len(text))
        text = longer
    whole = _template(tokenizer, messages, generate=generate)
    if not whole.startswith(text):
        raise ValueError("The chat template rewrites earlier messages before an answer.")

    contents = []
    for message, start, end in zip(messages, starts, [*starts[1:], len(text)], strict=True):
        contents.append(_find(text, message["content"], start, end))

    encoded = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
    if ids != _template(tokenizer, messages, generate=generate, tokenize=True):
        raise ValueError("The tokenizer and its chat template disagree on the token ids.")

    roles, kinds, turn = [], [], 0
    last_role = "assistant" if generate else messages[-1]["role"]
    end_ids = end_token_ids(tokenizer)
    for position, (token_id, (begin, _)) in enumerate(zip(ids, offsets, strict=True)):
        while turn + 1 < len(messages) and begin >= starts[turn + 1]:
            turn += 1
        role = last_role if begin >= len(text) else messages[turn]["role"]
        roles.append(ROLES.index(role))
        low, high = contents[turn]
        if position == 0:
            kinds.append(Kind.BOS)
        elif low <= begin < high:
            kinds.append(Kind.CONTENT)
        else:
            kinds.append(Kind.END if token_id in end_ids else Kind.TEMPLATE)
    if messages[0]["role"] != "system":  # then what ends before its content is the template's own
        added = [p for p, k in enumerate(kinds) if k is Kind.END and offsets[p][0] < contents[0][0]]
        for position in range(added[-1] + 1 if added else 0):
            roles[position] = ROLES.index("system")
    return Prompt(tuple(ids), tuple(roles), tuple(kinds))


def chat_template_sha256(tokenizer: PreTrainedTokenizerBase) -> str:
    """The hash of the chat template, or of nothing where there is none."""
    template = tokenizer.chat_template or ""
    return hashlib.sha256(str(template).encode()).hexdigest()


def _find(text: str, content: str, start: int, end: int) -> tuple[int, int]:
    """Where the template put a message's content, as it is or stripped; nowhere is `(end, end)`."""
    for written in (content, content.strip()):
        at = text.rfind(written, start, end)
        if written and at >= 0:
            return at, at + len(written)
    return end, end


def _template(
    tokenizer: PreTrainedTokenizerBase,
    messages: list[dict[str, str]],
    *,
    generate: bool,
    tokenize: bool = False,
) -> Any:
    if tokenizer.chat_template is None:
        raise ValueError("The tokenizer has no chat template: this is no chat model.")
    try:
        rendered = tokenizer.apply_chat_template(
            messages, tokenize=tokenize, add_generation_prompt=generate, return_dict=False
        )
    except Exception as error:  # whatever a template, which is a program, raises
        raise ValueError(f"The chat template refuses the conversation: {error}") from error
    return rendered


def end_token_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The tokens that end a message."""
    named = [tokenizer.convert_tokens_to_ids(token) for token in END_TOKENS]
    known = [token_id for token_id in named if token_id != tokenizer.unk_token_id]
    return {token_id for token_id in [*known, tokenizer.eos_token_id] if isinstance(token_id, int)}
