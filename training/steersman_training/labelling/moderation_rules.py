"""Moderation without a language model: few plain words, and patterns of personal data that check out."""

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

from steersman_catalog.rows import ModerationRow
from steersman_training.labelling.moderation import Category, Mark, Sample, marks_of, moderation_rows
from steersman_training.labelling.protocols import Estimate, Failure, FeatureEvidence

WORDS = Path(__file__).with_name("moderation_words.toml")
VERSION = 1
WEAK_WORDS = 3
"""Different weak words that make a text as plain as one strong word does."""
PLACEHOLDER = re.compile(
    r"(?i)your|example|xxx|recipient|sender|user|name|some|address|john|jane|\bemail|test|noreply|no-reply|@\d|git@"
    r"|@(?:[\w.-]+\.)?(?:domain|email|company|mail|abc|xyz|foo|bar)\.\w+$"
    r"|^(?:admin|careers|contact|enquiries|hello|help|info|jobs|mail|office|press|sales|service|support|surveys|team)@"
)
"""Addresses that stand for addresses, and those of offices."""


FOUR_DIGITS = re.compile(r"\d{4}")


class WordList(Struct, frozen=True, forbid_unknown_fields=True):
    """Words of a category."""

    strong: list[str]
    weak: list[str] = []


class RuleModerator:
    """A `Moderator` that reads labels and samples by rule; evidence is the words found."""

    name = "rules"
    version = f"rules-{VERSION}"
    batch_size = 4096

    def moderate(self, batch: Sequence[Sample]) -> Iterator[tuple[int, tuple[Mark, ...] | Failure]]:
        """Each feature once."""
        for sample in batch:
            found = {excerpt.id: rule_evidence("".join(excerpt.tokens)) for excerpt in sample.examples}
            label = rule_evidence(sample.label)
            yield sample.feature, marks_of(found, label, len(sample.examples))

    def estimate(self, sample: Sequence[Sample], total: int) -> Estimate:
        """Nothing is asked of anyone."""
        return Estimate()


def rule_rows(
    evidence: FeatureEvidence, label: str, label_id: int, examples: Mapping[str, int]
) -> list[ModerationRow]:
    """One feature's rows of the catalogue; `examples` are the samples' ids there, by their excerpts'.

    Samples in which it is silent are marked as the others are, and count for no mark of the feature.
    """
    found, silent = (
        {excerpt.id: rule_evidence("".join(excerpt.tokens)) for excerpt in excerpts}
        for excerpts in (evidence.examples, evidence.inactive)
    )
    marks = marks_of(found, rule_evidence(label), len(evidence.examples)) + marks_of(silent, {})
    return moderation_rows(marks, RuleModerator.name, evidence.feature, label_id, examples)


def rule_evidence(text: str) -> dict[Category, str]:
    """The categories that a text falls under, each with what it was found by."""
    found: dict[Category, str] = {}
    words_here = set(re.findall(r"[^\W_]+", text.casefold()))
    patterns = _patterns() if _first_words() & words_here else {}
    for category, (strong, weak) in patterns.items():
        words = _distinct(strong, text)
        if not words and weak is not None:
            several = _distinct(weak, text)
            words = several if len(several) >= WEAK_WORDS else []
        if words:
            found[category] = ", ".join(words)
    kinds = [kind for kind, holds in PERSONAL.items() if holds(text)]
    if kinds:
        found["personal_data"] = ", ".join(kinds)
    return found


@cache
def _lists() -> dict[Category, WordList]:
    return msgspec.convert(tomllib.loads(WORDS.read_text(encoding="utf-8")), dict[Category, WordList])


@cache
def _first_words() -> frozenset[str]:
    """Without any of them a text need not be searched: most hold none."""
    return frozenset(word.split()[0] for words in _lists().values() for word in (*words.strong, *words.weak))


@cache
def _patterns() -> dict[Category, tuple[re.Pattern[str], re.Pattern[str] | None]]:
    return {
        category: (_pattern(words.strong), _pattern(words.weak) if words.weak else None)
        for category, words in _lists().items()
    }


def _pattern(words: Sequence[str]) -> re.Pattern[str]:
    """Any of the words, whole: not within an identifier, a path or a longer word."""
    longest_first = sorted(words, key=len, reverse=True)
    either = "|".join(re.escape(word).replace(r"\ ", r"\s+") for word in longest_first)
    return re.compile(rf"(?i)(?<![\w/.-])(?:{either})(?![\w/-]|\.\w)")


def _distinct(pattern: re.Pattern[str], text: str) -> list[str]:
    return list(dict.fromkeys(" ".join(match.casefold().split()) for match in pattern.findall(text)))


def _email(text: str) -> bool:
    if "@" not in text:
        return False
    found = re.findall(r"(?<![\w.+-])[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[A-Za-z]{2,}(?![\w.]*\()", text)
    return any(not PLACEHOLDER.search(address) for address in found)


def _telephone(text: str) -> bool:
    """International, or North American with its signs; not 555 or 123-456, which are for examples."""
    if not FOUR_DIGITS.search(text):
        return False
    found = re.findall(r"(?<![\w+.-])(?:\+\d{1,3}[ .-]?)?\(?\d{3}\)?[ .-]\d{3}[ .-]\d{4}(?![\w-]|\.\d)", text)
    return any(
        re.search(r"[+(.-]", number) and not re.search(r"555|123\D*456", number) and len(set(number)) > 4
        for number in found
    )


def _card(text: str) -> bool:
    """Sixteen digits in groups that pass Luhn's test."""
    if not FOUR_DIGITS.search(text):
        return False
    found = re.findall(r"(?<![\w.-])(?:\d{4}[ -]){3}\d{4}(?![\w-])", text)
    return any(_luhn(re.sub(r"\D", "", number)) and len(set(number)) > 5 for number in found)


def _luhn(digits: str) -> bool:
    doubled = [sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2]]
    return (sum(doubled) + sum(int(digit) for digit in digits[::-2])) % 10 == 0


def _secret(text: str) -> bool:
    """Keys in the forms that services give out."""
    return any(sign in text for sign in ("AKIA", "ghp_", "sk-", "AIza", "xox", "-----BEGIN")) and bool(
        re.search(
            r"(?<!\w)(?:AKIA[A-Z0-9]{16}|ghp_[A-Za-z0-9]{36}|sk-[A-Za-z0-9]{32,}|AIza[\w-]{35}|xox[bp]-\d[\w-]{20,})"
            r"(?![A-Za-z0-9])|-----BEGIN (?:RSA |EC |OPENSSH )?PRIVATE KEY-----",
            text,
        )
    )


PERSONAL: dict[str, Callable[[str], bool]] = {
    "an e-mail address": _email,
    "a telephone number": _telephone,
    "a card number": _card,
    "a secret key": _secret,
}
"""Kinds of personal data; only the kind is kept as evidence."""
