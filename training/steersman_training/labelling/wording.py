"""Words and signs as a label shows them to a person."""

LONGEST_WORD = 24
"""A longer word is cut."""
SHORTEST_STEM = 4
ENDINGS = frozenset(("s", "es", "d", "ed", "ing", "er", "ers", "ly"))
BLANKS = frozenset("␣↵⇥␍")
"""As `words.VISIBLE` shows them."""
SIGNS = {
    ",": "comma",
    ".": "full stop",
    ":": "colon",
    ";": "semicolon",
    "!": "exclamation mark",
    "?": "question mark",
    "(": "opening bracket",
    ")": "closing bracket",
    '"': "quotation mark",
    "'": "apostrophe",
    "’": "apostrophe",
    "-": "hyphen",
    "–": "dash",
    "—": "dash",
    "/": "slash",
    "\\": "backslash",
    "*": "asterisk",
    "**": "bold",
    "#": "hash sign",
    "=": "equals sign",
    "+": "plus sign",
    "%": "percent sign",
    "$": "dollar sign",
    "`": "backtick",
    "```": "code fence",
}


def named(word: str) -> str:
    """A word, cut if it is long; a sign by its name, or in quotation marks if it has none here."""
    if set(word) <= BLANKS:
        return _blank(word)
    short = word if len(word) <= LONGEST_WORD else f"{word[: LONGEST_WORD - 1]}…"
    return short if any(character.isalnum() for character in word) else SIGNS.get(word, f"“{short}”")


def same_word(one: str, other: str) -> bool:
    """Whether two words are forms of one, by their endings, or have one name."""
    return bool(_stems(one) & _stems(other)) or named(one) == named(other)


def _stems(word: str) -> set[str]:
    """What is left of a word without an ending, and the word."""
    stems = {word, word.removesuffix("e")} | {
        word.removesuffix(ending) for ending in ENDINGS if word.endswith(ending)
    }
    return {stem for stem in stems if len(stem) >= SHORTEST_STEM}


def _blank(word: str) -> str:
    lines = word.count("↵")
    if lines == 0:
        return "tab" if "⇥" in word else "space" if word == "␣" else "spaces"
    if lines > 1:
        return "blank line"
    return "indented line" if word[-1] in "␣⇥" else "new line"
