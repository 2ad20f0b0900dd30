"""Words as the rules know them, whatever was done to hide them."""

import re
import unicodedata

INVISIBLE = "\u00ad\u200b-\u200f\u2060\ufeff"
CHUNK = re.compile(rf"[\w/.\-@$\u0300-\u036f{INVISIBLE}]+")
"""A word, with what may be hidden in it, or an identifier, a path, a number."""
PART = re.compile(r"[/._\-@]|[a-z]\d|\d[a-z]")
"""What makes a chunk something else than a word."""
DOTTED = re.compile(r"\w(?:[.\-_*]\w){2,}")
LEET = str.maketrans("013457@$", "oieastas")
LEET_WORD = re.compile(r"(?=.*[a-z])[a-z013457@$]{4,}")
LOOKALIKE = str.maketrans("аеорсухіјѕһԁոаαορνικτβ", "aeopcyxijshdnaaopviktb")
"""Letters of other alphabets that look like Latin ones."""
AGE = re.compile(r"\d{1,2}-years?-olds?")
REPEATED = re.compile(r"([a-z])\1{2,}")


def normal(chunk: str, *, whole: bool = True) -> str:
    """The chunk's word in lower case; empty for an identifier, a path or an address.

    Undone are full width, accents, invisible characters, letters of other alphabets among Latin ones, digits
    for letters, dots between letters, and letters written three times or more. `whole`: no more follows.
    """
    word = chunk.lower() if chunk.isascii() else _latin(chunk)
    if word.isalpha() and word.isascii():
        return _short(word)
    word = re.sub(r"^\.{2,}|[.]+$", "", word)
    if AGE.fullmatch(word):
        return word.replace("-", " ")
    if DOTTED.fullmatch(word):
        return re.sub(r"[^a-z0-9]", "", word)
    if not whole or (LEET_WORD.fullmatch(word) and 2 * sum(map(str.isalpha, word)) >= len(word)):
        word = word.translate(LEET)
    return "" if PART.search(word) else _short(word)


def _short(word: str) -> str:
    return word if len(set(word)) == 1 else REPEATED.sub(r"\1", word)


def _latin(chunk: str) -> str:
    folded = unicodedata.normalize("NFKD", chunk).casefold()
    kept = "".join(c for c in folded if unicodedata.category(c) not in ("Cf", "Mn"))
    return kept.translate(LOOKALIKE) if re.search("[a-z]", kept) else kept
