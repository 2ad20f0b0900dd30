"""A conversation as the model reads it: token ids, and whose and what kind each token is."""

import copy
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Any

from transformers import PreTrainedTokenizerBase

from steersman_engine.rendering import (
    END_TOKENS,
    Message,
    Rendered,
    Span,
    Tools,
    rendered,
    strings_in,
    template_of,
)

ROLES = ("system", "user", "assistant")
"""A token's role is its index here; what a tool answered counts as the user's."""


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


def render(
    tokenizer: PreTrainedTokenizerBase,
    messages: Sequence[Message],
    *,
    generate: bool,
    tools: Tools | None = None,
) -> Prompt:
    """Apply the model's chat template to `messages`, and to the `tools` that the model may call.

    With `generate` it ends where the assistant's answer begins.

    Raises:
        ValueError: The template refuses the conversation, leaves a part of it out, or does not write messages
            one after another so that a token's role could be told.
    """
    written = rendered(tokenizer, messages, tools, generate=generate)
    special = special_tokens(tokenizer)
    if any(token in text for text in strings_in([messages, tools]) for token in special):
        ids, offsets = _encode_literally(tokenizer, written, messages, tools)
    else:
        encoded = tokenizer(written.text, add_special_tokens=False, return_offsets_mapping=True)
        ids, offsets = encoded["input_ids"], encoded["offset_mapping"]
        if ids != template_of(tokenizer, tools)(messages, generate=generate, tokenize=True):
            raise ValueError("The tokenizer and its chat template disagree on the token ids.")

    roles, kinds, turn = [], [], 0
    speakers = ["user" if message["role"] == "tool" else message["role"] for message in messages]
    last_role = "assistant" if generate else speakers[-1]
    end_ids = end_token_ids(tokenizer)
    for position, (token_id, (begin, _)) in enumerate(zip(ids, offsets, strict=True)):
        while turn + 1 < len(messages) and begin >= written.starts[turn + 1]:
            turn += 1
        role = last_role if begin >= written.end else speakers[turn]
        roles.append(ROLES.index(role))
        low, high = written.contents[turn]
        if position == 0:
            kinds.append(Kind.BOS)
        elif low <= begin < high:
            kinds.append(Kind.CONTENT)
        else:
            kinds.append(Kind.END if token_id in end_ids else Kind.TEMPLATE)
    if messages[0]["role"] != "system":  # then what ends before its content is the template's own
        added = [p for p, k in enumerate(kinds) if k is Kind.END and offsets[p][0] < written.contents[0][0]]
        for position in range(added[-1] + 1 if added else 0):
            roles[position] = ROLES.index("system")
    return Prompt(tuple(ids), tuple(roles), tuple(kinds))


def from_tokens(token_ids: Sequence[int]) -> Prompt:
    """A prompt without messages: every token counts as the user's content, but for the first."""
    kinds = (Kind.BOS, *[Kind.CONTENT] * (len(token_ids) - 1))
    return Prompt(tuple(token_ids), (ROLES.index("user"),) * len(token_ids), kinds[: len(token_ids)])


def special_tokens(tokenizer: PreTrainedTokenizerBase) -> dict[str, int]:
    """The texts that the tokenizer reads as one special token, and their ids."""
    return {
        token.content: token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special
    }


def encode_literally(
    tokenizer: PreTrainedTokenizerBase, text: str
) -> tuple[list[int], list[tuple[int, int]]]:
    """The tokens of `text` and where they begin and end, with no special token whatever the text says."""
    encoded = _literal_tokenizer(tokenizer).encode(text, add_special_tokens=False)
    return encoded.ids, encoded.offsets


def chat_template_sha256(tokenizer: PreTrainedTokenizerBase) -> str:
    """The hash of the chat template, or of nothing where there is none."""
    template = tokenizer.chat_template or ""
    return hashlib.sha256(str(template).encode()).hexdigest()


@lru_cache(maxsize=4)
def _literal_tokenizer(tokenizer: PreTrainedTokenizerBase) -> Any:
    """A copy of its own, because the switch belongs to the tokenizer and other threads use that."""
    literal: Any = copy.deepcopy(tokenizer.backend_tokenizer)
    literal.encode_special_tokens = True
    return literal


def _encode_literally(
    tokenizer: PreTrainedTokenizerBase, written: Rendered, messages: Sequence[Message], tools: Tools | None
) -> tuple[list[int], list[tuple[int, int]]]:
    """Token ids and offsets of a rendered conversation, in which only the template writes special tokens.

    A tokenizer cuts a text at its special tokens before anything else, and so does this, but not at
    those inside a message's content: what somebody wrote cannot end his message and begin another's.

    Raises:
        ValueError: A special token stands in what a message says, and the template does not write it
            as it is, so that it could not be told from the template's own.
    """
    text, special = written.text, special_tokens(tokenizer)
    contents: list[Span] = []
    obeyed: list[Any] = [tools]
    for message, (low, high) in zip(messages, written.contents, strict=True):
        literal = low < high and not message.get("tool_calls")
        contents += [(low, high)] if literal else []
        obeyed += [value for name, value in message.items() if name != "content" or not literal]
    for token in special:
        if any(token in given for given in strings_in(obeyed)):
            raise ValueError(f"A message holds the special token {token!r} where the model would obey it.")
    longest_first = sorted(special, key=len, reverse=True)
    ids, offsets, start = [], [], 0

    def take(end: int) -> None:
        new_ids, new_offsets = encode_literally(tokenizer, text[start:end])
        ids.extend(new_ids)
        offsets.extend((start + low, start + high) for low, high in new_offsets)

    for found in re.finditer("|".join(map(re.escape, longest_first)), text):
        low, high = found.span()
        if any(begin < high and low < end for begin, end in contents):
            continue
        take(low)
        ids.append(special[found[0]])
        offsets.append((low, high))
        start = high
    take(len(text))
    return ids, offsets


def end_token_ids(tokenizer: PreTrainedTokenizerBase) -> set[int]:
    """The tokens that end a message."""
    named = [tokenizer.convert_tokens_to_ids(token) for token in END_TOKENS]
    known = [token_id for token_id in named if token_id != tokenizer.unk_token_id]
    return {token_id for token_id in [*known, tokenizer.eos_token_id] if isinstance(token_id, int)}
