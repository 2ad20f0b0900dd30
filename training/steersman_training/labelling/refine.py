"""Better labels from where the first ones failed: chosen on dev documents, never on test ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace

from steersman_engine.prompt import ROLES
from steersman_training.labelling.activations import Block
from steersman_training.labelling.labels import Label
from steersman_training.labelling.protocols import (
    Excerpt,
    Explainer,
    Failure,
    FeatureEvidence,
    Judge,
    LabelDraft,
    Revision,
)
from steersman_training.labelling.questions import Passages, Question, QuestionMaker
from steersman_training.labelling.scoring import Answer, ask
from steersman_training.labelling.statistics import auc

GOOD_ENOUGH = 0.95
"""A label with a higher score on dev is left as it is."""
SHOWN = 8
"""Texts of each kind of mistake that are shown."""


@dataclass(frozen=True)
class Refiner:
    """Rounds of revision; a label is replaced if its dev score rises by more than one standard error."""

    maker: QuestionMaker
    passages: Passages
    explainer: Explainer
    judge: Judge
    rounds: int
    names: Sequence[str]
    """Every feature's first label, by index."""

    def refine(
        self, block: Block, labels: Sequence[Label], evidence: dict[int, FeatureEvidence]
    ) -> list[list[Label]]:
        """Of each label its line: itself with its dev score, then every revision, accepted or not."""
        assert self.maker.split == "dev", "Labels are chosen on dev documents."
        if self.rounds == 0:
            return [[label] for label in labels]
        questions = {label.feature: self.maker.of(label.feature, block, ["contrastive"]) for label in labels}
        lines = {label.feature: [label] for label in labels}
        best = {label.feature: label for label in labels}
        answers = self._asked(questions, best)
        score = {feature: dev_score(questions[feature], answers) for feature in questions}
        lines = {f: [_scored(label, score[f], accepted=True)] for f, (label,) in lines.items()}
        best = {f: line[0] for f, line in lines.items()}
        for number in range(1, self.rounds + 1):
            open_ = {
                f: replace(evidence[f], revision=self._revision(block, best[f], questions[f], answers))
                for f in questions
                if questions[f] and (value := score[f]) is not None and value < GOOD_ENOUGH
            }
            proposed = self._proposed(open_, best, number)
            if not proposed:
                break
            tried = self._asked({f: questions[f] for f in proposed}, proposed)
            for feature, label in proposed.items():
                new, old = dev_score(questions[feature], tried), score[feature]
                better = (
                    new is not None
                    and old is not None
                    and new > old + standard_error(old, questions[feature])
                )
                lines[feature].append(_scored(label, new, accepted=better))
                if better:
                    best[feature], score[feature] = lines[feature][-1], new
                    answers |= {q.id: tried[q.id] for q in questions[feature]}
        return [lines[label.feature] for label in labels]

    def _asked(self, questions: dict[int, list[Question]], labels: dict[int, Label]) -> dict[str, Answer]:
        trials = [
            self.passages.trial(question, labels[feature].draft.text)
            for feature, asked in questions.items()
            for question in asked
        ]
        return ask(self.judge, trials)

    def _proposed(
        self, evidence: dict[int, FeatureEvidence], best: dict[int, Label], number: int
    ) -> dict[int, Label]:
        if not evidence:
            return {}
        proposed = {}
        for feature, draft in self.explainer.explain(list(evidence.values())):
            if isinstance(draft, LabelDraft) and draft.text != best[feature].draft.text:
                proposed[feature] = Label(
                    id=f"{feature}.{number}",
                    feature=feature,
                    draft=draft,
                    explainer=self.explainer.name,
                    version=self.explainer.version,
                    parent=best[feature].id,
                )
            else:
                assert isinstance(draft, LabelDraft | Failure)
        return proposed

    def _revision(
        self, block: Block, label: Label, questions: Sequence[Question], answers: dict[str, Answer]
    ) -> Revision:
        """What went wrong: pairs in which the silent text was taken for the feature's."""
        missed, mistaken, confused = [], [], list[str]()
        for question in questions:
            answer = answers[question.id]
            if answer.choice is not None and answer.choice != question.answer:
                missed.append(self._excerpt(block, label.feature, question.tiles[question.answer]))
                mistaken.append(self._excerpt(block, label.feature, question.tiles[answer.choice]))
                if question.tier == "neighbour":
                    other = self.maker.neighbour_of(label.feature, question.tiles[answer.choice])
                    confused.append(self.names[other])
        return Revision(
            label=label.draft.text,
            missed=tuple(missed[:SHOWN]),
            mistaken=tuple(mistaken[:SHOWN]),
            confused_with=tuple(dict.fromkeys(confused))[:SHOWN],
        )

    def _excerpt(self, block: Block, feature: int, tile: int) -> Excerpt:
        corpus = self.maker.corpus
        begin, end = corpus.tiles[tile].tolist()
        where, value = block.of(feature)
        low, high = np.searchsorted(where, (begin, end))
        acts = np.zeros(end - begin)
        acts[where[low:high] - begin] = value[low:high]
        document = corpus.tile_document[tile]
        peak = int(acts.argmax())
        return Excerpt(
            id=f"{corpus.documents[document]}:{begin - int(corpus.starts[document])}",
            document=corpus.documents[document],
            role=ROLES[corpus.role[begin + peak]],
            stratum=None,
            tokens=self.passages[tile].tokens,
            activations=tuple(acts.round(4).tolist()),
            peak=peak,
        )


def dev_score(questions: Sequence[Question], answers: dict[str, Answer]) -> float | None:
    """The area under the curve over all pairs where the judge gives scores, else the share right."""
    done = [(q, answers[q.id]) for q in questions if answers[q.id].choice is not None]
    if not done:
        return None
    if all(answer.scores for _, answer in done):
        right = np.array([answer.scores[question.answer] for question, answer in done])
        wrong = np.array([answer.scores[1 - question.answer] for question, answer in done])
        return auc(right, wrong)
    return sum(answer.choice == question.answer for question, answer in done) / len(done)


def standard_error(score: float, questions: Sequence[Question]) -> float:
    """Of a share of so many pairs; at the ends as if one had gone the other way."""
    n = max(1, len(questions))
    inner = min(max(score, 1 / (n + 1)), n / (n + 1))
    return float(np.sqrt(inner * (1 - inner) / n))


def _scored(label: Label, score: float | None, *, accepted: bool) -> Label:
    return replace(label, dev_score=score, accepted=accepted)
