"""Every question that was put to a judge about the labels on test documents, as rows of a catalogue."""

from collections.abc import Iterable, Iterator, Mapping

from steersman_catalog.rows import AnswerRow, QuestionRow, Row, Split, TileRow
from steersman_training.labelling.corpus import Corpus
from steersman_training.labelling.nulls import UNIGRAM
from steersman_training.labelling.questions import Question
from steersman_training.labelling.results import Results
from steersman_training.labelling.score_part import ScorePart
from steersman_training.labelling.score_rows import BASELINES
from steersman_training.labelling.scoring import Answer

SPLIT: Split = "test"
"""What `Results` asks about."""
Asked = dict[int, dict[str, list[Question]]]
"""Of each feature the questions of each test."""


def trial_rows(results: Results, label_ids: Mapping[str, int]) -> Iterator[Row]:
    """Tiles, questions and answers; questions are kept once, whoever is asked."""
    stages = {judge: results.score_stage(judge) for judge in results.judges}
    tiles: set[int] = set()
    for number in range(stages[results.judges[0]].parts):
        kept: Asked = {}
        for judge, stage in stages.items():
            yield from _answers(stage.read(number, ScorePart), judge, kept, label_ids)
        for tests in kept.values():
            for questions in tests.values():
                tiles.update(tile for question in questions for tile in question.tiles)
                yield question_row(questions)
    yield from tile_rows(sorted(tiles), results.job.corpus)


def _answers(part: ScorePart, judge: str, kept: Asked, label_ids: Mapping[str, int]) -> Iterator[AnswerRow]:
    """One judge's answers about a block of features; its questions go into `kept`."""
    asked = by_test(part.questions)
    for feature, tests in asked.items():
        for test, questions in tests.items():
            known = kept.setdefault(feature, {}).setdefault(test, questions)
            assert known == questions, f"{judge} was asked other questions of feature {feature}."
    for label, answers in part.answers.items():
        if ":" in label or label in label_ids:
            yield from answer_rows(label, answers, judge, asked, label_ids)


def by_test(questions: Iterable[Question]) -> Asked:
    """Questions of a feature and test together, in their order."""
    found: Asked = {}
    for question in questions:
        found.setdefault(question.feature, {}).setdefault(question.test, []).append(question)
    return found


def question_row(questions: list[Question]) -> QuestionRow:
    """What is asked of one feature in one test."""
    others = [feature for question in questions for feature in question.others]
    marked = [list(question.marked) for question in questions]
    return QuestionRow(
        feature=questions[0].feature,
        test=questions[0].test,
        split=SPLIT,
        options=len(questions[0].tiles),
        tiles=[tile for question in questions for tile in question.tiles],
        targets=[question.answer for question in questions],
        tiers=[question.tier for question in questions],
        strata=[None if question.stratum < 0 else question.stratum for question in questions],
        others=others or None,
        marked=marked if any(marked) else None,
    )


def answer_rows(
    label: str, answers: Iterable[Answer], judge: str, asked: Asked, label_ids: Mapping[str, int]
) -> Iterator[AnswerRow]:
    """What was chosen with one label, or by what stands in for it: `name:feature`."""
    baseline, colon, of_feature = label.partition(":")
    feature = int(of_feature if colon else label.split(".")[0])
    given = {answer.question: answer for answer in answers}
    for test, questions in asked[feature].items():
        chosen = [given[question.id] for question in questions]
        failures = [answer.failure or None for answer in chosen]
        yield AnswerRow(
            feature=feature,
            test=test,
            split=SPLIT,
            judge="" if baseline == UNIGRAM else judge,
            label=None if colon else label_ids[label],
            baseline=BASELINES[baseline] if colon else None,
            choices=[answer.choice for answer in chosen],
            failures=failures if any(failures) else None,
        )


def tile_rows(tiles: Iterable[int], corpus: Corpus) -> Iterator[TileRow]:
    """Where tiles lie; a passage is a document, by its number in the corpus."""
    for tile in tiles:
        begin, end = corpus.tiles[tile].tolist()
        document = int(corpus.tile_document[tile])
        start = begin - int(corpus.starts[document])
        yield TileRow(tile=tile, passage=document, start=start, length=end - begin)
