"""What the scores say of all features together, baselines beside."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from msgspec import Struct

from steersman_training.labelling.labels import Label
from steersman_training.labelling.nulls import SHUFFLED, UNIGRAM
from steersman_training.labelling.score_part import ScorePart
from steersman_training.labelling.scoring import CHOICES, Score
from steersman_training.labelling.statistics import (
    above_chance,
    mean_interval,
    p_values,
    q_values,
    shrunken,
)

SHOWN, EARLIER, RANDOM = "labels", "before refinement", "random SAE"
BASELINES = {SHUFFLED: "shuffled labels", UNIGRAM: "unigram rule"}
NOT_LABELS = ("shuffled labels", "unigram rule", RANDOM)
FALSE_DISCOVERIES = 0.05


class Line(Struct, frozen=True, kw_only=True):
    """One judge's result in one test over all features."""

    test: str
    measure: str
    judge: str
    of: str
    """`labels`, `before refinement`, `shuffled labels`, `unigram rule` or `random SAE`."""
    features: int
    mean: float
    low: float
    high: float
    """95 % interval of the mean, bootstrapped over features."""
    chance: float
    asked: int
    failures: int
    above_chance: float | None
    """Share of features above chance at a false discovery rate of 5 %; only of tests with choices."""


class Breakdown(Struct, frozen=True, kw_only=True):
    """The share of right choices in one tier of distractors, or one stratum of activation."""

    test: str
    judge: str
    by: str
    value: str
    answered: int
    share: float


class Rating(Struct, frozen=True, kw_only=True):
    """The number a feature is ranked by."""

    feature: int
    label: str
    score: float
    """Share right in the stringent test, drawn towards the mean of all features."""
    q_value: float
    """Smallest false discovery rate over all features at which it beats chance in the contrastive test.

    Before any of the judges; their number is accounted for.
    """

    @property
    def trusted(self) -> bool:
        """Above chance, at a false discovery rate of 5 % over all features."""
        return self.q_value <= FALSE_DISCOVERIES


class Summary(Struct, frozen=True, kw_only=True):
    """What a card shows of a labelling job."""

    features: int
    live: int
    unclear: int
    failed: int
    """Labels that the explainer did not give; a statistical one stands in."""
    replaced: int
    """Labels that refinement replaced."""
    explainer: str
    judges: tuple[str, ...]
    documents: int
    tokens: int
    """That count: attention sinks are left out."""
    asked_tokens: int = 0
    """What the job was told to read."""
    splits: dict[str, int]
    """Documents in each."""
    trusted: int
    lines: list[Line]
    breakdowns: list[Breakdown]
    special: int = 0
    """Features explained by what they do."""
    echo_groups: int = 0
    causal: dict[str, float] = {}


def lines_of(scores: Iterable[Score], shown: Mapping[int, str], *, of: str | None = None) -> list[Line]:
    """One line for each judge, test and kind of label; `of` names all of them where they are a baseline."""
    groups: dict[tuple[str, str, str], list[Score]] = {}
    for score in scores:
        kind = _kind(score, shown)
        if of is not None:
            if kind != SHOWN:
                continue
            kind = of
        groups.setdefault((score.test, score.judge, kind), []).append(score)
    return [
        _line(*key, found)
        for key, found in sorted(groups.items(), key=lambda one: (one[0][0], one[0][1], one[0][2]))
    ]


def breakdowns_of(parts: Iterable[ScorePart], judge: str, shown: Mapping[int, str]) -> list[Breakdown]:
    """Shares of right choices of the shown labels by tier and by stratum."""
    counts: dict[tuple[str, str, str], list[int]] = {}
    wanted = set(shown.values())
    for part in parts:
        of = {question.id: question for question in part.questions if question.test in CHOICES}
        for label in part.answers.keys() & wanted:
            for answer in part.answers[label]:
                question = of.get(answer.question)
                if answer.choice is None or question is None:
                    continue
                for by, value in (("tier", question.tier), ("stratum", str(question.stratum))):
                    total = counts.setdefault((question.test, by, value), [0, 0])
                    total[0] += 1
                    total[1] += int(answer.choice == question.answer)
    return [
        Breakdown(test=test, judge=judge, by=by, value=value, answered=n, share=k / n)
        for (test, by, value), (n, k) in sorted(counts.items())
    ]


def ratings_of(
    scores: Sequence[Score], labels: Sequence[Label], live: Sequence[int], judge: str
) -> list[Rating]:
    """Of every live feature: ranked by `judge`, trusted if any judge can tell with the label.

    One without a stringent test gets the mean of all. The smallest p-value of the judges is multiplied by
    their number (Bonferroni), so that more judges make no label more trusted by luck.
    """
    of = {(s.judge, s.feature, s.test): s for s in scores if s.label == labels[s.feature].id}
    judges = sorted({judge for judge, _, _ in of})
    pairs = [_counts([of.get((name, feature, "contrastive")) for feature in live]) for name in judges]
    least = np.min([p_values(right, answered, 0.5) for right, answered in pairs], axis=0)
    asked = np.max([answered for _, answered in pairs], axis=0) > 0
    rates = q_values(np.minimum(1, least * len(judges)), asked)
    drawn = shrunken(*_counts([of.get((judge, feature, "stringent")) for feature in live]))
    return [
        Rating(feature=feature, label=labels[feature].id, score=float(score), q_value=float(rate))
        for feature, score, rate in zip(live, drawn, rates, strict=True)
    ]


def _counts(scores: Sequence[Score | None]) -> tuple[np.ndarray, np.ndarray]:
    """Right choices and answered questions `[features]`."""
    right = np.array([0 if score is None else score.right for score in scores])
    answered = np.array([0 if score is None else score.answered for score in scores])
    return right, answered


def _kind(score: Score, shown: Mapping[int, str]) -> str:
    name, colon, _ = score.label.partition(":")
    if colon:
        return BASELINES[name]
    return SHOWN if shown[score.feature] == score.label else EARLIER


def _line(test: str, judge: str, of: str, found: list[Score]) -> Line:
    values = np.array([score.value for score in found if score.value == score.value])
    low, high = mean_interval(values) if len(values) else (0.0, 1.0)
    beats = None
    if test in ("contrastive", "stringent"):
        beats = float(above_chance(*_counts(found), found[0].chance).mean())
    return Line(
        test=test,
        measure=found[0].measure,
        judge=judge,
        of=of,
        features=len(values),
        mean=float(values.mean()) if len(values) else float("nan"),
        low=low,
        high=high,
        chance=found[0].chance,
        asked=sum(score.asked for score in found),
        failures=sum(score.failures for score in found),
        above_chance=beats,
    )
