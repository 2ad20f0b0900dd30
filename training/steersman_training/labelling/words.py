"""Whole words, rebuilt from tokens."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from tokenizers.decoders import DecodeStream

UNSPACED = ("\u2e80", "\uac00")
"""From here to there, scripts are written without spaces: each character begins a word."""
VISIBLE = str.maketrans({" ": "␣", "\n": "↵", "\t": "⇥", "\r": "␍"})


@dataclass(frozen=True, slots=True)
class Words:
    """The words of some tokens."""

    text: list[str]
    """Each distinct word once, case-folded; special tokens as they are, blanks made visible."""
    of_token: np.ndarray
    """Index in `text` of the word that each token is part of, `[tokens]`."""


def words_of(tokenizer, token: np.ndarray, starts: np.ndarray) -> Words:
    """The words of documents that lie one after another in `token`; `starts` as in Firings.

    A word ends at a blank, where letters and digits meet other signs, and at a special token.
    """
    special = set(tokenizer.added_tokens_decoder)
    index_of: dict[str, int] = {}
    indices, lengths = [], []
    for start, stop in pairwise(starts):
        for text, length in _split(tokenizer, token[start:stop].tolist(), special):
            indices.append(index_of.setdefault(text, len(index_of)))
            lengths.append(length)
    return Words(list(index_of), np.repeat(np.array(indices, np.int32), lengths))


def _split(tokenizer, token_ids: list[int], special: set[int]) -> Iterator[tuple[str, int]]:
    """The words of one document, and of how many tokens each is."""
    word, length = "", 0
    for text, num_tokens, alone in _pieces(tokenizer, token_ids, special):
        if length and (alone or _breaks(word[-1], text[0])):
            yield _shown(word), length
            word, length = "", 0
        if alone:
            yield text, num_tokens
        else:
            word += text
            length += num_tokens
    if length:
        yield _shown(word), length


def _pieces(tokenizer, token_ids: list[int], special: set[int]) -> Iterator[tuple[str, int, bool]]:
    """Whole characters, of how many tokens they are, and whether it is a special token.

    Text is never empty; tokens that add up to no character read �.
    """
    stream, pending = DecodeStream(skip_special_tokens=False), 0
    for token_id in token_ids:
        if token_id in special:
            if pending:
                yield "�", pending, False
            yield tokenizer.convert_ids_to_tokens(token_id), 1, True
            stream, pending = DecodeStream(skip_special_tokens=False), 0
            continue
        pending += 1
        text = stream.step(tokenizer.backend_tokenizer, token_id)
        if text:
            yield text, pending, False
            pending = 0
    if pending:
        yield "�", pending, False


@cache
def _breaks(last: str, first: str) -> bool:
    """Whether a new word begins between two characters."""
    unspaced = any(UNSPACED[0] <= character < UNSPACED[1] for character in (last, first))
    return first.isspace() or unspaced or _in_word(last) != _in_word(first)


def _in_word(character: str) -> bool:
    return character.isalnum() or character == "_" or unicodedata.category(character).startswith("M")


def _shown(word: str) -> str:
    return word.strip().casefold() or word.translate(VISIBLE)
