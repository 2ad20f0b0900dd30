"""What tokens read like, one at a time."""

import numpy as np


class TokenText:
    """Texts of a tokenizer's tokens, each looked up once."""

    def __init__(self, tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, str] = {}

    def __getitem__(self, token: int) -> str:
        """A token's text after another one: some tokenizers drop the blank that begins a text."""
        text = self._known.get(token)
        if text is None:
            decode = self._tokenizer.decode
            alone, twice = decode([token]), decode([token, token])
            text = twice.removeprefix(alone) if twice.startswith(alone) else alone
            self._known[token] = text
        return text

    def of(self, tokens: np.ndarray) -> tuple[str, ...]:
        """One text a token `[tokens]`."""
        return tuple(self[token] for token in tokens.tolist())

    def word_like(self, tokens: np.ndarray, vocab: int) -> np.ndarray:
        """Which tokens hold a letter or a digit `[vocab]`; only those among `tokens` are looked at.

        Part of a character counts: it is more often a letter than a sign.
        """
        special = set(self._tokenizer.added_tokens_decoder)
        found = np.zeros(vocab, bool)
        for token in np.unique(tokens).tolist():
            text = self[token]
            found[token] = token not in special and any(c.isalnum() or c == "�" for c in text)
        return found
