"""What a score is worth if there is nothing to it: labels of other features, and a rule without a label."""

from collections.abc import Sequence

import numpy as np

from steersman_training.labelling.corpus import SPLITS, Corpus
from steersman_training.labelling.questions import Question
from steersman_training.labelling.scoring import Answer

UNIGRAM = "unigram rule"
SHUFFLED = "shuffled"


def shuffled(features: Sequence[int], seed: int) -> dict[int, int]:
    """For each feature another one whose label it is given, each used once."""
    order = np.random.default_rng([seed, 7]).permutation(np.array(features, int)).tolist()
    return dict(zip(order, order[1:] + order[:1], strict=True))


class UnigramRule:
    """Scores a text by the token on which the feature fires most often in explain documents.

    It knows the feature's firings and no label: what a label should beat.
    """

    def __init__(self, corpus: Corpus, counted: np.ndarray) -> None:
        self._corpus = corpus
        self._explain = counted & (corpus.split_of_token == SPLITS.index("explain"))
        self._vocab = int(corpus.token.max()) + 1
        self._seen = np.bincount(corpus.token[self._explain], minlength=self._vocab)

    def answer(self, questions: Sequence[Question], where: np.ndarray) -> dict[str, Answer]:
        """Answers about one feature, `where` all its firings; ties go to the first passage by a coin."""
        fired = np.bincount(self._corpus.token[where[self._explain[where]]], minlength=self._vocab)
        rate = fired / np.maximum(self._seen, 1)
        base = float(fired.sum() / max(1, self._explain.sum()))
        found = {}
        for question in questions:
            scores = []
            for tile in question.tiles:
                begin, end = self._corpus.tiles[tile].tolist()
                tokens = self._corpus.token[begin:end]
                if question.marked:
                    tokens = tokens[list(question.marked)]
                scores.append(round(float(rate[tokens].max()), 6))
            if len(scores) == 1:
                choice = int(scores[0] > max(base, 0.05))
            else:
                best = [i for i, score in enumerate(scores) if score == max(scores)]
                choice = best[(question.feature + int(question.id.rsplit(".", 1)[1][1:])) % len(best)]
            found[question.id] = Answer(question.id, choice, tuple(scores))
        return found
