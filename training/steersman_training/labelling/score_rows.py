"""A job's scores, and the runs that made them, as rows of a catalogue."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

import msgspec

import steersman
from steersman_catalog.rows import RatingRow, Row, RunRow, ScoreRow
from steersman_training.labelling.nulls import SHUFFLED, UNIGRAM
from steersman_training.labelling.results import Results
from steersman_training.labelling.score_part import ScorePart
from steersman_training.labelling.scoring import Score
from steersman_training.labelling.stage import Stage
from steersman_training.labelling.statistics import wilson
from steersman_training.labelling.summary import Rating

BASELINES = {SHUFFLED: "shuffled_labels", UNIGRAM: "unigram"}
CAUSAL = ("output_score", "delta_confidence", "coherent_strength")


def score_rows(
    results: Results, ratings: Mapping[int, Rating], label_ids: Mapping[str, int]
) -> Iterator[Row]:
    """What trials come to, as a whole and in parts; causal scores; and what features are ranked by."""
    job = results.job
    for judge in results.judges:
        stage = results.score_stage(judge)
        for part in stage.read_all(ScorePart):
            for score in part.scores:
                if score.value == score.value and (":" in score.label or score.label in label_ids):
                    yield _whole(score, label_ids, job.refine_stage.key, stage.key)
            if judge == results.judges[0]:
                shown = {job.labels[feature].id: label_ids[job.labels[feature].id] for feature in job.live}
                yield from _parts(part, judge, shown, job.refine_stage.key, stage.key)
    for feature, output in job.outputs.items():
        for test in CAUSAL:
            yield ScoreRow(
                feature=feature, label=None, test=test, split="explain", value=getattr(output, test), n=1
            )
    for feature, rating in ratings.items():
        yield RatingRow(
            feature=feature,
            label=label_ids[rating.label],
            test="stringent",
            score=rating.score,
            q_value=rating.q_value,
            trusted=rating.trusted,
        )


def run_rows(stages: Sequence[Stage]) -> Iterator[RunRow]:
    """The steps of a job; a step's moment is that of its newest part."""
    for stage in {stage.key: stage for stage in stages}.values():
        moments = [stage.path(number).stat().st_mtime for number in range(stage.parts)]
        if moments:
            yield RunRow(
                run=stage.key,
                stage=stage.name,
                config=msgspec.json.encode(stage.inputs, order="deterministic").decode(),
                version=steersman.__version__,
                created=datetime.fromtimestamp(max(moments), UTC).replace(tzinfo=None, microsecond=0),
                seconds=stage.seconds,
            )


def _whole(score: Score, label_ids: Mapping[str, int], label_set: str, run: str) -> ScoreRow:
    name, colon, _ = score.label.partition(":")
    return ScoreRow(
        feature=score.feature,
        label=None if colon else label_ids[score.label],
        test=score.test,
        judge="" if name == UNIGRAM else score.judge,
        baseline=BASELINES[name] if colon else None,
        split="test",
        value=round(score.value, 4),
        lo=round(score.low, 4),
        hi=round(score.high, 4),
        chance=score.chance,
        n=score.answered,
        k=score.right if score.measure == "share" else None,
        failures=score.failures,
        label_set=label_set,
        run=run,
    )


def _parts(
    part: ScorePart, judge: str, label_ids: Mapping[str, int], label_set: str, run: str
) -> Iterator[ScoreRow]:
    """The contrastive test of shown labels by tier of distractor, and by stratum of activation."""
    of = {question.id: question for question in part.questions if question.test == "contrastive"}
    for label, number in label_ids.items():
        groups: dict[tuple[str | None, int | None], list[int | None]] = {}
        for answer in part.answers.get(label, ()):
            question = of.get(answer.question)
            if question is not None:
                right = None if answer.choice is None else int(answer.choice == question.answer)
                groups.setdefault((question.tier, None), []).append(right)
                groups.setdefault((None, question.stratum), []).append(right)
        for (tier, stratum), outcomes in groups.items():
            answered = [right for right in outcomes if right is not None]
            if answered:
                k, n = sum(answered), len(answered)
                low, high = wilson(k, n)
                yield ScoreRow(
                    feature=int(label.split(".")[0]),
                    label=number,
                    test="contrastive",
                    judge=judge,
                    split="test",
                    tier=tier,
                    stratum=stratum,
                    value=round(k / n, 4),
                    lo=round(low, 4),
                    hi=round(high, 4),
                    chance=0.5,
                    n=n,
                    k=k,
                    failures=len(outcomes) - n,
                    label_set=label_set,
                    run=run,
                )
