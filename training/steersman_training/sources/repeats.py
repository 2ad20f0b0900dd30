"""What repeats: chats that say the same, and texts that share long runs of words."""

import hashlib
import unicodedata
import zlib

import numpy as np

from steersman_training.sources.chat import Chat

RUN_WORDS = 20
KEPT_OF = 8  # one run of so many is looked at, chosen by its hash: the same ones in every text


def digest(chat: Chat) -> bytes:
    """The same for chats that differ only in case, width of characters or blanks."""
    made = hashlib.blake2b(digest_size=16)
    for message in chat.messages:
        made.update(f"\0{message['role']}\0{_normal(message['content'])}".encode(errors="surrogatepass"))
    return made.digest()


class NearRepeats:
    """Which texts are made of runs of words that came before (as 20-gram deduplication does it)."""

    def __init__(self) -> None:
        self._seen: set[int] = set()

    def part_seen(self, chat: Chat) -> float:
        """How large a part of the chat's runs earlier chats had; what is not yet seen is now."""
        runs = _runs(" ".join(_normal(message["content"]) for message in chat.messages))
        if not runs:
            return 0.0
        part = len(runs & self._seen) / len(runs)
        self._seen |= runs
        return part


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _runs(text: str) -> set[int]:
    words = np.array([zlib.crc32(word.encode(errors="surrogatepass")) for word in text.split()], np.uint64)
    count = len(words) - RUN_WORDS + 1
    if count < 1:
        return set()
    hashed = np.zeros(count, np.uint64)
    for offset in range(RUN_WORDS):
        hashed = hashed * np.uint64(0x9E3779B97F4A7C15) + words[offset : offset + count]
    hashed ^= hashed >> np.uint64(29)
    return set(hashed[hashed % np.uint64(KEPT_OF) == 0].tolist())
