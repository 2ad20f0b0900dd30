"""Chats as the model reads them: rendered, cut, in an order that a seed fixes, in batches of like length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from steersman_engine.prompt import Prompt, encode_literally, from_tokens, render
from steersman_training.chats import Chats
from steersman_training.sources.chat import Chat, Split

CHARACTERS_A_TOKEN = 16  # more than any conversation has on average


@dataclass(frozen=True, slots=True)
class Document:
    """A rendered conversation and its place in the order."""

    index: int
    id: str
    prompt: Prompt


def documents(
    chats: Sequence[Chat],
    split: Split,
    tokenizer,
    *,
    max_length: int,
    seed: int,
    start: int = 0,
) -> Iterator[Document]:
    """The conversations of a split from place `start` on in the seed's order, cut to `max_length`."""
    chats = Chats.of(chats)
    order = chats.order(split, seed=seed, max_length=max_length)
    yield from read(chats, order, range(start, len(order)), tokenizer, max_length=max_length)


def read(chats: Chats, order: np.ndarray, places: range, tokenizer, *, max_length: int) -> Iterator[Document]:
    """The documents at some places of an order, as `Chats.order` gives it; past its end it begins again."""
    for place in places:
        chat = chats[int(order[place % len(order)])]
        yield Document(place, chat.id, rendered(tokenizer, chat, max_length))


def rendered(tokenizer, chat: Chat, max_length: int) -> Prompt:
    """A chat in its template, which `render` holds to the tokenizer's own; a plain text as it is."""
    head = _head(chat.messages, max_length * CHARACTERS_A_TOKEN)
    prompt = _plain(tokenizer, head[0]["content"]) if chat.plain else render(tokenizer, head, generate=False)
    return Prompt(prompt.token_ids[:max_length], prompt.roles[:max_length], prompt.kinds[:max_length])


def padded(group: Sequence[Document], *, batch_tokens: int) -> Iterator[tuple[list[Document], Tensor]]:
    """The documents of `group` in batches of like length: with their token ids `[batch, pos]`.

    Rows are padded on the right, where causal attention does not look. A batch has at most
    `batch_tokens` tokens, padding included, or one row.
    """
    by_length = sorted(group, key=lambda document: len(document.prompt))
    while by_length:
        rows = max(1, batch_tokens // len(by_length[-1].prompt))
        batch, by_length = by_length[-rows:], by_length[:-rows]
        input_ids = torch.zeros(len(batch), len(batch[-1].prompt), dtype=torch.long)
        for row, document in enumerate(batch):
            input_ids[row, : len(document.prompt)] = torch.tensor(document.prompt.token_ids)
        yield batch, input_ids


def _plain(tokenizer, text: str) -> Prompt:
    """A text as in pretraining: after the token, if any, that the tokenizer begins with. It is a user's."""
    begin = [token for token in tokenizer("")["input_ids"][:1] if token == tokenizer.bos_token_id]
    return from_tokens([*begin, *encode_literally(tokenizer, text)[0]])


def _head(messages: list[dict[str, str]], characters: int) -> list[dict[str, str]]:
    """The first messages, up to the one in which `characters` are reached: the rest would be cut."""
    for count, message in enumerate(messages, start=1):
        characters -= len(message["content"])
        if characters <= 0:
            return messages[:count]
    return messages
