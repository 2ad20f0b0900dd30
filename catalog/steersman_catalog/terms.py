"""The words by which features are searched: the same rule for what is stored and what is asked."""

import re
import unicodedata

SHORTEST_PLURAL = 4


def terms_of(text: str) -> list[str]:
    """The words of `text`, case-folded and without a plural's s; its signs if it has no words."""
    text = unicodedata.normalize("NFKC", text).casefold()
    return [_singular(word) for word in re.findall(r"\w+", text)] or re.findall(r"[^\w\s]+", text)


def _singular(word: str) -> str:
    plural = len(word) >= SHORTEST_PLURAL and word.endswith("s") and not word.endswith("ss")
    return word[:-1] if plural else word
