"""Which words stand out where a feature fires, before it, and around it."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import msgspec
import numpy as np

from steersman_engine.prompt import Kind
from steersman_training.labelling.corpus import SPLITS, Corpus
from steersman_training.labelling.log_odds import z_scores
from steersman_training.labelling.protocols import Weighted
from steersman_training.labelling.stage import Stage, packed_arrays
from steersman_training.labelling.words import Words, words_of

CONTEXT = 16
"""Tokens before a firing that are its context."""
MOST_FIRINGS = 1000
"""So many firings of a feature are looked at, drawn at random."""
MOST_CONTEXTS = 300
"""Of them, so many contexts."""
KEPT = 20
LEAST_Z = 1.96
WORD_CONVERSATIONS = 3
"""A word in fewer conversations says more about the conversation, unless there is no other."""


def pack_words(tokenizer, corpus: Corpus) -> bytes:
    """The words of a corpus as a stage's part."""
    words = words_of(tokenizer, corpus.token, corpus.starts)
    text = np.frombuffer(msgspec.json.encode(words.text), np.uint8)
    return packed_arrays({"text": text, "of_token": words.of_token})


def read_words(stage: Stage) -> Words:
    """What `pack_words` wrote."""
    columns = stage.arrays(0)
    return Words(msgspec.json.decode(columns["text"].tobytes(), type=list[str]), columns["of_token"])


@dataclass(frozen=True)
class WordFacts:
    """The words of the explain documents, and how often each is there."""

    corpus: Corpus
    words: Words
    explain: np.ndarray
    """Which tokens count: of explain documents, and no sinks `[tokens]`."""

    @classmethod
    def of(cls, corpus: Corpus, words: Words, counted: np.ndarray) -> Self:
        """`counted` `[tokens]` is False at sinks."""
        return cls(corpus, words, counted & (corpus.split_of_token == SPLITS.index("explain")))

    @cached_property
    def background(self) -> np.ndarray:
        """How often each word is in the explain documents, repeats damped `[words]`."""
        word = self.words.of_token[self.explain]
        of_pair, weight = damped(
            word, np.ones(len(word)), self._conversation(np.flatnonzero(self.explain)), self._conversations
        )
        return np.bincount(of_pair, weight, minlength=len(self.words.text))

    @cached_property
    def _conversations(self) -> int:
        return int(self.corpus.conversation.max()) + 1

    def _conversation(self, where: np.ndarray) -> np.ndarray:
        return self.corpus.conversation[self.corpus.document_of[where]]

    @cached_property
    def _total(self) -> float:
        return float(self.background.sum())

    @cached_property
    def previous(self) -> np.ndarray:
        """The word before each token's own, or -1 at the start of a document `[tokens]`."""
        of_token, starts = self.words.of_token, self.corpus.starts
        begins = np.ones(len(of_token), bool)
        begins[1:] = of_token[1:] != of_token[:-1]
        begins[starts[:-1]] = True
        first = np.maximum.accumulate(np.where(begins, np.arange(len(of_token)), 0))
        before = np.where(first > 0, of_token[first - 1], -1)
        before[np.isin(first, starts[:-1])] = -1
        return before

    def firing(self, where: np.ndarray, weight: np.ndarray) -> tuple[Weighted, ...]:
        """Words on which a feature fires, `where` `[firings]` of explain documents."""
        return self._standing_out(self.words.of_token[where], weight, self._conversation(where))

    def before(self, where: np.ndarray, weight: np.ndarray) -> tuple[Weighted, ...]:
        """Words just before those on which it fires."""
        word = self.previous[where]
        there = word >= 0
        return self._standing_out(word[there], weight[there], self._conversation(where[there]))

    def context(self, where: np.ndarray, weight: np.ndarray) -> tuple[Weighted, ...]:
        """Words among the CONTEXT tokens before, the firing's own word and the template's left out."""
        where, weight = where[:MOST_CONTEXTS], weight[:MOST_CONTEXTS]
        at = (where[:, None] - np.arange(1, CONTEXT + 1)).ravel()
        of = np.repeat(np.arange(len(where)), CONTEXT)
        there = at >= self.corpus.starts[self.corpus.document_of[where[of]]]
        there[there] = self.corpus.kind[at[there]] == Kind.CONTENT
        at, of = at[there], of[there]
        word = self.words.of_token[at]
        pairs, first = np.unique(of * np.int64(len(self.words.text)) + word, return_index=True)
        word, of = word[first], (pairs // len(self.words.text)).astype(np.int64)
        other = word != self.words.of_token[where[of]]
        word, of = word[other], of[other]
        return self._standing_out(word, weight[of] / CONTEXT, self._conversation(where[of]))

    def sample(
        self, where: np.ndarray, value: np.ndarray, seed: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """At most MOST_FIRINGS of the firings in explain documents, and their weights.

        A firing weighs its square activation; weights add up to the number of firings.
        """
        there = self.explain[where]
        where, value = where[there], value[there]
        if len(where) > MOST_FIRINGS:
            chosen = np.random.default_rng(seed).permutation(len(where))[:MOST_FIRINGS]
            where, value = where[chosen], value[chosen]
        weight = np.square(value, dtype=float)
        return where, weight / weight.mean() if len(weight) else weight

    def _standing_out(
        self, word: np.ndarray, weight: np.ndarray, conversation: np.ndarray
    ) -> tuple[Weighted, ...]:
        if not len(word):
            return ()
        present, of = np.unique(word, return_inverse=True)
        mass = np.bincount(of, weight)
        of_pair, damped_weight = damped(of, weight, conversation, self._conversations)
        z = z_scores(np.bincount(of_pair, damped_weight), self.background[present], total=self._total)
        spread = np.bincount(of_pair)
        z[spread < min(WORD_CONVERSATIONS, spread.max())] = -np.inf
        best = np.argsort(-z, kind="stable")[:KEPT]
        return tuple(
            Weighted(self.words.text[present[index]], float(z[index]), float(mass[index] / mass.sum()))
            for index in best.tolist()
            if z[index] >= LEAST_Z
        )


def damped(
    word: np.ndarray, weight: np.ndarray, conversation: np.ndarray, conversations: int
) -> tuple[np.ndarray, np.ndarray]:
    """Each pair of a word and a conversation once: the word, and its weight there over √ of how often it is.

    What is repeated in one conversation is less than as many witnesses: words come in bursts (Church & Gale
    1995, "Poisson mixtures").
    """
    pairs, of, counts = np.unique(
        word * np.int64(conversations) + conversation, return_inverse=True, return_counts=True
    )
    return pairs // conversations, np.bincount(of, weight) / np.sqrt(counts)
