"""Text from tokens, as they come."""

from collections.abc import Collection

from transformers import PreTrainedTokenizerBase

REPLACEMENT = "\ufffd"
MAX_HELD = 8
"""Tokens to hold back for one character; UTF-8 needs no more than four."""


class Detokenizer:
    """Text of one answer's tokens, never a part of a character; special tokens have none unless `shown`.

    Only the tokens since the last two whole characters are decoded, so a token costs the same
    however long the answer is.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, shown: Collection[int] = ()) -> None:
        self._tokenizer = tokenizer
        self._special = frozenset(tokenizer.all_special_ids).difference(shown)
        self._context: list[int] = []
        self._pending: list[int] = []
        self._given = 0  # characters of the context's text

    def push(self, token_id: int) -> str:
        """The text that `token_id` completes; empty while a character is incomplete."""
        if token_id in self._special:
            return ""
        self._pending.append(token_id)
        text = decode(self._tokenizer, self._context + self._pending)
        cut = text.endswith(REPLACEMENT)
        if cut and len(self._pending) < MAX_HELD:
            return ""
        new = text[self._given : len(text) - cut]
        self._context, self._pending = self._pending, []
        self._given = len(decode(self._tokenizer, self._context)) - cut
        return new

    def flush(self) -> str:
        """What is left at the end, U+FFFD for an incomplete character."""
        return decode(self._tokenizer, self._context + self._pending)[self._given :]


def decode(tokenizer: PreTrainedTokenizerBase, token_ids: list[int]) -> str:
    """The text of `token_ids` as it is, special tokens included."""
    text = tokenizer.decode(token_ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    assert isinstance(text, str)
    return text
