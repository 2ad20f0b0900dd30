"""From answers to scores, failures kept apart from errors."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from msgspec import Struct

from steersman_training.labelling.corpus import Corpus
from steersman_training.labelling.protocols import Failure, Judge, Trial
from steersman_training.labelling.questions import CHANCE, Question, Test
from steersman_training.labelling.statistics import auc, auc_interval, d_prime, wilson

CHOICES: dict[Test, int] = {"contrastive": 2, "stringent": 4}


class Answer(Struct, frozen=True, array_like=True):
    """What a judge said to one question."""

    question: str
    choice: int | None
    """None for a failure."""
    scores: tuple[float, ...] = ()
    failure: str = ""

    def of(self, question: str) -> "Answer":
        """The same answer under another id."""
        return Answer(question, self.choice, self.scores, self.failure)


class Score(Struct, frozen=True, kw_only=True):
    """One label's result in one test before one judge."""

    feature: int
    label: str
    """Id of the label that was judged: `feature.revision`, or what stands in for it."""
    test: Test
    measure: str
    """`share` of right choices, `auc`, or `balanced_accuracy`."""
    judge: str
    split: str
    asked: int
    failures: int
    """Of those asked, without an answer; they count as neither right nor wrong."""
    right: int
    """Choices that were right."""
    value: float
    low: float
    high: float
    """The 95 % interval: Wilson's, or bootstrapped over documents for an area."""
    chance: float
    d_prime: float | None
    """Only of tests with a choice among passages."""

    @property
    def answered(self) -> int:
        """Trials with an answer."""
        return self.asked - self.failures


def ask(judge: Judge, trials: Sequence[Trial]) -> dict[str, Answer]:
    """Every trial's answer; one that a judge forgets is a failure."""
    answers = {trial.id: Answer(trial.id, None, (), "error") for trial in trials}
    for number, verdict in judge.judge(trials):
        if isinstance(verdict, Failure):
            answers[number] = Answer(number, None, (), verdict.kind)
        else:
            answers[number] = Answer(number, verdict.choice, tuple(round(s, 5) for s in verdict.scores))
    return answers


def scores_of(
    questions: Iterable[Question],
    answers: Mapping[str, Answer],
    corpus: Corpus,
    *,
    judge: str,
    label: str,
    split: str,
    seed: int,
) -> list[Score]:
    """One feature's scores, one a test that was asked."""
    by_test: dict[Test, list[Question]] = {}
    for question in questions:
        by_test.setdefault(question.test, []).append(question)
    return [
        _score(test, asked, answers, corpus, judge, label, split, seed) for test, asked in by_test.items()
    ]


def _score(
    test: Test,
    asked: list[Question],
    answers: Mapping[str, Answer],
    corpus: Corpus,
    judge: str,
    label: str,
    split: str,
    seed: int,
) -> Score:
    done = [(q, answers[q.id]) for q in asked if answers[q.id].choice is not None]
    right = sum(answer.choice == question.answer for question, answer in done)
    measure, value, interval, discriminable = "share", float("nan"), wilson(right, len(done)), None
    if test in CHOICES:
        value = right / len(done) if done else float("nan")
        discriminable = d_prime(value, CHOICES[test]) if done else None
    elif done:
        yes = np.array([question.answer == 1 for question, _ in done])
        if all(answer.scores for _, answer in done):
            measure = "auc"
            score = np.array([answer.scores[0] for _, answer in done])
            value = auc(score[yes], score[~yes])
            documents = corpus.tile_document[[question.tiles[0] for question, _ in done]]
            interval = auc_interval(score, yes, documents, (seed, asked[0].feature))
        else:
            measure = "balanced_accuracy"
            hits = np.array([answer.choice == question.answer for question, answer in done])
            if yes.any() and not yes.all():
                value = float((hits[yes].mean() + hits[~yes].mean()) / 2)
    return Score(
        feature=asked[0].feature,
        label=label,
        test=test,
        measure=measure,
        judge=judge,
        split=split,
        asked=len(asked),
        failures=len(asked) - len(done),
        right=int(right),
        value=value,
        low=interval.low,
        high=interval.high,
        chance=CHANCE[test],
        d_prime=discriminable,
    )
