"""What single tokens say: their bytes, which put together are the text."""

from typing import Any

from transformers import PreTrainedTokenizerBase
from transformers.convert_slow_tokenizer import bytes_to_unicode

BYTE_OF = {character: byte for byte, character in bytes_to_unicode().items()}


class TokenTexts:
    """The texts of a tokenizer's tokens, whether it works on bytes (GPT-2, Llama 3) or words (Llama 2)."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._added = {token_id: token.content for token_id, token in tokenizer.added_tokens_decoder.items()}
        self._special = frozenset(tokenizer.all_special_ids)
        backend: Any = tokenizer.backend_tokenizer
        self._on_bytes = "ByteLevel" in str(backend.decoder)

    def bytes(self, token_id: int) -> bytes:
        """What it adds to the answer's text: nothing, if it is special."""
        if token_id in self._special:
            return b""
        if token_id in self._added:
            return self._added[token_id].encode()
        token = self._tokenizer.convert_ids_to_tokens(token_id)
        if not isinstance(token, str):  # beyond the tokenizer, in a padded vocabulary
            return b""
        if self._on_bytes:
            return bytes(BYTE_OF[character] for character in token)
        if len(token) == 6 and token.startswith("<0x"):
            return bytes([int(token[3:5], 16)])
        return token.replace("\u2581", " ").encode()

    def text(self, token_id: int) -> str:
        r"""What it says, for people: its name if it is special, `\xe2` for a part of a character."""
        if token_id in self._special:
            return self._added.get(token_id, "")
        return self.bytes(token_id).decode(errors="backslashreplace")

    def only(self, text: str) -> int | None:
        """The token that says exactly this; None if it takes more or fewer than one."""
        token_ids = self._tokenizer.encode(text, add_special_tokens=False)
        return token_ids[0] if len(token_ids) == 1 else None
