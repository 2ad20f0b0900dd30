"""What a text falls under, by rule, as the text comes: no matter how it is cut into pieces."""

import re
from collections import defaultdict, deque
from collections.abc import Collection

from msgspec import Struct

from steersman_catalog.moderation import CATEGORIES, Category
from steersman_catalog.moderation.normal_word import CHUNK, normal
from steersman_catalog.moderation.personal import personal_data
from steersman_catalog.moderation.terms import Term, terms

WEAK_WORDS = 3
"""Different weak words that make a text as plain as one strong word does."""
WINDOW = 12
"""Words within which those of `near` stand."""
SPELLED = 4
"""Single letters in a row that are read as one word."""
LONGEST_HELD = 80
"""Characters that are held back at most."""
LOOK_BACK = 200
"""Characters in which personal data is looked for, so much at a time."""
NUMBERS = re.compile(r"[\d\s()+.\-]*\S*$")


class Finding(Struct, frozen=True):
    """Something found."""

    category: Category
    evidence: str
    """The words; of personal data the kind alone."""
    start: int
    """Where what completed it begins, in characters of the whole text."""


class _Word(Struct, frozen=True):
    text: str
    start: int
    adjoins: bool
    """Only white space stands between it and the word before."""


class RuleReader:
    """Reads one text, and says what was found and how much of it no finding can touch any more.

    `hold`: the categories that matter for the latter.
    """

    def __init__(self, hold: Collection[Category] = CATEGORIES) -> None:
        self._hold = frozenset(hold)
        self.evidence: dict[Category, list[str]] = {}
        self._terms = terms()
        self._length = 0
        self._rest, self._base = "", 0  # what is not yet cut into words, and where it begins
        self._numbers, self._numbers_base = "", 0  # where personal data is looked for
        self._words: deque[_Word] = deque(maxlen=self._terms.longest)
        self._letters: list[_Word] = []  # single ones in a row
        self._count = 0
        self._weak: dict[Category, list[str]] = {}
        # of each list of `near`, the number of its last word, and what it was
        self._near: dict[tuple[int, int], tuple[int, str]] = defaultdict(lambda: (-WINDOW, ""))
        self._unless = -WINDOW
        self._found: list[Finding] = []

    def push(self, piece: str) -> list[Finding]:
        """What the next piece of the text completes."""
        self._length += len(piece)
        self._rest += piece
        self._numbers += piece
        self._cut(end=False)
        return self._take()

    def close(self) -> list[Finding]:
        """What the end of the text completes."""
        self._cut(end=True)
        self._spell()
        self._find_numbers(len(self._numbers))
        return self._take()

    @property
    def safe(self) -> int:
        """So many characters, from the first, are part of no finding to come."""
        held = [self._length, *self._unfinished()]
        if "personal_data" in self._hold:
            held.append(self._numbers_base + _numbers_at_end(self._numbers))
        return max(min(held), self._length - LONGEST_HELD)

    def _take(self) -> list[Finding]:
        found, self._found = self._found, []
        return found

    def _cut(self, *, end: bool) -> None:
        """Take the whole words from the rest."""
        done = 0
        for chunk in CHUNK.finditer(self._rest):
            if chunk.end() == len(self._rest) and not end:
                break
            adjoins = self._rest[done : chunk.start()].isspace()
            self._chunk(_Word(normal(chunk[0]), self._base + chunk.start(), adjoins))
            done = chunk.end()
        self._rest, self._base = self._rest[done:], self._base + done
        if not end:
            self._find_numbers(_numbers_at_end(self._numbers))

    def _chunk(self, word: _Word) -> None:
        if len(word.text) == 1 and (word.adjoins or not self._letters):
            self._letters.append(word)
            return
        self._spell()
        if len(word.text) == 1:
            self._letters.append(word)
        else:
            self._word(word)

    def _spell(self) -> None:
        """Read letters in a row, as one word if they are many."""
        letters, self._letters = self._letters, []
        if len(letters) >= SPELLED:
            letters = [
                _Word("".join(letter.text for letter in letters), letters[0].start, letters[0].adjoins)
            ]
        for letter in letters:
            self._word(letter)

    def _word(self, word: _Word) -> None:
        """Count a word, or the longest phrase that it ends."""
        if not word.adjoins or not word.text:
            self._words.clear()
        self._count += 1
        if not word.text:
            return
        self._words.append(word)
        for phrase, start in self._phrases():
            if phrase in self._terms.unless:
                self._unless = self._count
            found = self._terms.by_phrase.get(phrase, ())
            for term in found:
                self._count_term(term, phrase, start)
            if found or phrase in self._terms.harmless:
                return

    def _phrases(self) -> list[tuple[str, int]]:
        """Those that the last word ends, longest first, and where they begin."""
        phrases, text = [], ""
        for word in reversed(self._words):
            text = f"{word.text} {text}" if text else word.text
            phrases.append((text, word.start))
        return phrases[::-1]

    def _count_term(self, term: Term, phrase: str, start: int) -> None:
        if term.weight == "strong":
            self._add(term.category, [phrase], start)
        elif term.weight == "weak":
            words = self._weak.setdefault(term.category, [])
            if phrase not in words:
                words.append(phrase)
                if len(words) >= WEAK_WORDS:
                    self._add(term.category, words, start)
        else:
            self._near[term.group, term.member] = (self._count, phrase)
            members = [self._near[member] for member in self._members(term)]
            since = self._count - WINDOW
            if min(number for number, _ in members) > since and self._unless <= since:
                self._add(term.category, [words for _, words in sorted(members)], start)

    def _add(self, category: Category, words: list[str], start: int) -> None:
        known = self.evidence.setdefault(category, [])
        new = [word for word in words if word not in known]
        if new:
            known += new
            self._found.append(Finding(category, ", ".join(words), start))

    def _find_numbers(self, stop: int) -> None:
        """Look for personal data in what is complete, and forget what lies far back."""
        for kind, start in personal_data(self._numbers[:stop]):
            self._add("personal_data", [kind], self._numbers_base + start)
        drop = max(stop - LOOK_BACK, 0)
        self._numbers, self._numbers_base = self._numbers[drop:], self._numbers_base + drop

    def _unfinished(self) -> list[int]:
        """Where phrases begin that the next words may complete, and a finding with them."""
        chunk = CHUNK.search(self._rest)
        partial = "" if chunk is None else normal(chunk[0], whole=False)
        between = self._rest if chunk is None else self._rest[: chunk.start()]
        starts = []
        if chunk is not None and (not partial or self._may_complete(partial)):
            starts.append(self._base + chunk.start())
        if between and not between.isspace():
            return starts
        spelled = "".join(letter.text for letter in self._letters)
        if spelled and (self._may_complete(spelled) or self._may_complete(spelled + partial)):
            starts.append(self._letters[0].start)
        tail = partial
        for word in reversed([*self._words, *self._letters]):
            tail = f"{word.text} {tail}"
            if self._may_complete(tail):
                starts.append(word.start)
            if not word.adjoins:
                break
        return starts

    def _may_complete(self, beginning: str) -> bool:
        """Whether a phrase that begins so would complete a finding that is held back for."""
        return any(self._completes(term) for term in self._terms.by_beginning.get(beginning, ()))

    def _completes(self, term: Term) -> bool:
        if term.category not in self._hold:
            return False
        if term.weight == "weak":
            return len(self._weak.get(term.category, ())) >= WEAK_WORDS - 1
        others = [m for m in self._members(term) if m != (term.group, term.member)]
        return all(self._near[m][0] > self._count - WINDOW for m in others)

    def _members(self, term: Term) -> list[tuple[int, int]]:
        """The lists that belong with a term's own, itself included, as far as there are any."""
        if term.weight != "near":
            return []
        return [(term.group, member) for member in range(self._terms.group_sizes[term.group])]


def rule_evidence(text: str) -> dict[Category, str]:
    """The categories that a text falls under, each with what it was found by."""
    reader = RuleReader()
    reader.push(text)
    reader.close()
    return {category: ", ".join(words) for category, words in reader.evidence.items()}


def _numbers_at_end(text: str) -> int:
    """Where a number or an address begins that may go on; the end of the text if none does."""
    found = NUMBERS.search(text, max(len(text) - LONGEST_HELD, 0))
    return len(text) if found is None or not found[0].strip() else found.start()
