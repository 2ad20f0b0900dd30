"""A label for each feature by counting words: what an explainer that understands nothing can say."""

from dataclasses import dataclass

import numpy as np

from steersman_catalog.rows import LabelRow, WordRow
from steersman_training.firings import Firings
from steersman_training.labelling.log_odds import z_scores
from steersman_training.labelling.words import Words

LABEL_WORDS = 5
SEARCH_WORDS = 20
LONGEST_WORD = 24
"""A longer word is cut in a label."""
LEAST_Z = 1.96
ALONE_SHARE = 0.9
"""A word with a larger share of a feature's activation is the whole label."""
WORD_DOCUMENTS = 2
"""A word that the feature fires on in fewer says more about the document, unless there is no other."""
TRUSTED_DOCUMENTS = 10
"""A feature that fires in fewer has no label to be trusted."""


@dataclass(frozen=True, slots=True)
class Described:
    """A feature's label, and the words to find it by."""

    label: LabelRow
    words: list[WordRow]
    flags: list[str]
    """Why not to trust it."""


class Describer:
    """Labels features from the words on which they fire, each firing weighted by its square activation."""

    def __init__(self, firings: Firings, words: Words) -> None:
        self._firings = firings
        self._words = words
        counted = words.of_token[firings.counted]
        self._background = np.bincount(counted, minlength=len(words.text)).astype(float)

    def describe(self, feature: int) -> Described:
        """Label one feature."""
        where, value = self._firings.of(feature)
        if not len(where):
            return Described(_label(feature, "never fired", "none"), [], ["never_fired"])
        weight = np.square(value, dtype=float)
        weight /= weight.mean()  # so that they add up to the number of firings
        word, document = self._words.of_token[where], self._firings.document_of(where)
        count = np.bincount(word, weight, minlength=len(self._words.text))
        z = z_scores(count, self._background)
        z[self._spread(word, document) == 0] = -np.inf
        order = np.argsort(-z, kind="stable")[:SEARCH_WORDS]
        best = [int(index) for index in order if z[index] >= LEAST_Z] or [int(order[0])]
        heaviest = max(best, key=lambda index: count[index])
        alone = count[heaviest] > ALONE_SHARE * count.sum()
        chosen = [heaviest] if alone else best[:LABEL_WORDS]
        text = ", ".join(_named(self._words.text[index]) for index in chosen)
        few = len(np.unique(document)) < TRUSTED_DOCUMENTS
        top = max(float(z[best[0]]), LEAST_Z)
        words = [
            WordRow(feature=feature, text=self._words.text[i], weight=max(float(z[i]) / top, 0.01))
            for i in best
        ]
        return Described(_label(feature, text, "mixed"), words, ["few_firings"] if few else [])

    def _spread(self, word: np.ndarray, document: np.ndarray) -> np.ndarray:
        """In how many documents each word is, `[num_words]`; 0 for those in too few."""
        num_documents = len(self._firings.documents)
        pairs = np.unique(word * np.int64(num_documents) + document)
        spread = np.bincount(pairs // num_documents, minlength=len(self._words.text))
        return np.where(spread < min(WORD_DOCUMENTS, spread.max()), 0, spread)


def _label(feature: int, text: str, kind: str) -> LabelRow:
    return LabelRow(label=feature, feature=feature, text=text, kind=kind, explainer="statistical", shown=True)


def _named(word: str) -> str:
    short = word if len(word) <= LONGEST_WORD else f"{word[: LONGEST_WORD - 1]}…"
    return short if any(character.isalnum() for character in word) else f"“{short}”"
