"""One block of features before one judge: their questions, answers and scores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import Struct

from steersman_training.labelling.activations import Block
from steersman_training.labelling.nulls import SHUFFLED, UNIGRAM, UnigramRule
from steersman_training.labelling.protocols import Judge
from steersman_training.labelling.questions import CHANCE, Passages, Question, QuestionMaker, Test
from steersman_training.labelling.scoring import Answer, Score, ask, scores_of

TESTS: tuple[Test, ...] = tuple(CHANCE)
PAID_TESTS: tuple[Test, ...] = ("contrastive", "stringent")
"""What a judge is asked that is paid by the question."""


class ScorePart(Struct, frozen=True):
    """What is kept of a block."""

    questions: list[Question]
    scores: list[Score]
    answers: dict[str, list[Answer]]
    """By label id, or for baselines `name:feature`."""


@dataclass(frozen=True)
class Scorer:
    """Asks one judge about every label of a feature, and about another feature's label.

    `labels`: of each feature (id, text), the first of which is shown and the rest earlier ones of its
    line. `others`: whose label each feature is given as a baseline; features without are not asked.
    """

    maker: QuestionMaker
    passages: Passages
    labels: Mapping[int, Sequence[tuple[str, str]]]
    others: Mapping[int, int]
    seed: int
    tests: tuple[Test, ...] = TESTS

    def score(self, judge: Judge, block: Block) -> ScorePart:
        """All scores of a block's features before `judge`."""
        questions = self._questions(block)
        asked: dict[str, tuple[list[Question], str]] = {}
        for feature, drawn in questions.items():
            for number, text in self.labels[feature]:
                asked[number] = drawn, text
            if feature in self.others:
                asked[f"{SHUFFLED}:{feature}"] = drawn, self.labels[self.others[feature]][0][1]
        answers = self._answers(judge, asked)
        return self._part(questions, {n: (drawn, answers[n]) for n, (drawn, _) in asked.items()}, judge.name)

    def score_rule(self, rule: UnigramRule, block: Block) -> ScorePart:
        """The same questions answered by a rule that has no label."""
        questions = self._questions(block)
        found = {
            f"{UNIGRAM}:{feature}": (drawn, rule.answer(drawn, block.of(feature)[0]))
            for feature, drawn in questions.items()
        }
        return self._part(questions, found, UNIGRAM)

    def _questions(self, block: Block) -> dict[int, list[Question]]:
        drawn = {f: self.maker.of(f, block, self.tests) for f in block.features if f in self.labels}
        return {feature: asked for feature, asked in drawn.items() if asked}

    def _answers(
        self, judge: Judge, asked: Mapping[str, tuple[list[Question], str]]
    ) -> dict[str, dict[str, Answer]]:
        """One call for all labels: a trial's id says of which label it is."""
        trials = [
            self.passages.trial(question, text, prefix=f"{number}/")
            for number, (drawn, text) in asked.items()
            for question in drawn
        ]
        given = ask(judge, trials)
        return {
            number: {q.id: given[f"{number}/{q.id}"].of(q.id) for q in drawn}
            for number, (drawn, _) in asked.items()
        }

    def _part(
        self,
        questions: Mapping[int, list[Question]],
        found: Mapping[str, tuple[list[Question], dict[str, Answer]]],
        judge: str,
    ) -> ScorePart:
        scores = [
            score
            for number, (drawn, answers) in found.items()
            for score in scores_of(
                drawn,
                answers,
                self.maker.corpus,
                judge=judge,
                label=number,
                split=self.maker.split,
                seed=self.seed,
            )
        ]
        return ScorePart(
            [question for drawn in questions.values() for question in drawn],
            scores,
            {number: list(answers.values()) for number, (_, answers) in found.items()},
        )
