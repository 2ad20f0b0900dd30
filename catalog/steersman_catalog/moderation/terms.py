"""The words of `rules.toml`, ready to be looked up."""

import tomllib
from collections import defaultdict
from functools import cache
from importlib.resources import files
from typing import Literal, Self

import msgspec
from msgspec import Struct

from steersman_catalog.moderation import CATEGORIES, Category


class WordList(Struct, frozen=True, forbid_unknown_fields=True):
    """Words of a category."""

    strong: list[str] = []
    weak: list[str] = []
    near: list[list[str | list[str]]] = []


class RuleFile(Struct, frozen=True, forbid_unknown_fields=True):
    """`rules.toml`."""

    harmless: list[str]
    lists: dict[str, list[str]]
    unless: list[str]
    sexual: WordList
    minors: WordList
    violence: WordList
    hate: WordList
    self_harm: WordList
    crime: WordList


class Term(Struct, frozen=True):
    """What a word or phrase counts for."""

    category: Category
    weight: Literal["strong", "weak", "near"]
    group: int = 0
    """Of `near`: the lists that belong together."""
    member: int = 0
    """Which of them."""


class Terms(Struct, frozen=True):
    """All rules."""

    by_phrase: dict[str, tuple[Term, ...]]
    group_sizes: list[int]
    """How many lists each group of `near` has."""
    harmless: frozenset[str]
    unless: frozenset[str]
    by_beginning: dict[str, frozenset[Term]]
    """What the phrases count for that begin so, or are that."""
    longest: int
    """Words of the longest phrase."""

    @classmethod
    def of(cls, rules: RuleFile) -> Self:
        """Take a file's words apart."""
        by_phrase: dict[str, list[Term]] = defaultdict(list)
        sizes: list[int] = []
        for category in CATEGORIES:
            if category == "personal_data":
                continue  # has patterns, no words
            words: WordList = getattr(rules, category)
            for phrase in words.strong:
                by_phrase[phrase].append(Term(category, "strong"))
            for phrase in words.weak:
                by_phrase[phrase].append(Term(category, "weak"))
            for lists in words.near:
                for member, named in enumerate(lists):
                    for phrase in rules.lists[named] if isinstance(named, str) else named:
                        by_phrase[phrase].append(Term(category, "near", len(sizes), member))
                sizes.append(len(lists))
        phrases = by_phrase.keys() | set(rules.harmless) | set(rules.unless)
        by_beginning: dict[str, set[Term]] = defaultdict(set)
        for phrase, found in by_phrase.items():
            for end in range(1, len(phrase) + 1):
                by_beginning[phrase[:end]].update(found)
        return cls(
            by_phrase={phrase: tuple(terms) for phrase, terms in by_phrase.items()},
            group_sizes=sizes,
            harmless=frozenset(rules.harmless),
            unless=frozenset(rules.unless),
            by_beginning={beginning: frozenset(found) for beginning, found in by_beginning.items()},
            longest=max(len(phrase.split()) for phrase in phrases),
        )


@cache
def terms() -> Terms:
    """Those of `rules.toml`."""
    text = files("steersman_catalog.moderation").joinpath("rules.toml").read_text(encoding="utf-8")
    return Terms.of(msgspec.convert(tomllib.loads(text), RuleFile))
