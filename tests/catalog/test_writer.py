"""Collecting rows, checking them, publishing them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from msgspec.structs import replace

from steersman_catalog import Catalog
from steersman_catalog.rows import (
    AnswerRow,
    ExampleRow,
    LabelRow,
    ModerationRow,
    PassageRow,
    QuestionRow,
    RatingRow,
    Row,
    ScoreRow,
    TileRow,
    WordRow,
)
from steersman_catalog.writer import CatalogWriter, write_catalog

Rows = tuple[Row, ...]


def trial(passage: int, split: str = "test", **answered: object) -> list[Row]:
    """A question put to a judge with two texts of a passage."""
    facts: dict[str, Any] = {"feature": 3, "test": "contrastive", "split": split}
    answer: dict[str, Any] = {"judge": "embedding", "label": 0, "choices": [0], **answered}
    return [
        TileRow(tile=7, passage=passage, start=0, length=2),
        TileRow(tile=8, passage=passage, start=1, length=2),
        QuestionRow(**facts, options=2, tiles=[7, 8], targets=[0], tiers=["random"], strata=[4]),
        AnswerRow(**facts | answer),
    ]


def altered(rows: Sequence[Row], row_type: type[Row], number: int, **changes: object) -> Rows:
    changed = list(rows)
    places = [place for place, row in enumerate(rows) if type(row) is row_type]
    changed[places[number]] = replace(changed[places[number]], **changes)
    return tuple(changed)


def scored_on(rows: Rows) -> Rows:
    """The first passage is of the test split, and no label is made from it."""
    return altered(rows, PassageRow, 0, split="test")


def test_rows_may_come_in_any_order(rows: Rows, path: Path, tmp_path: Path) -> None:
    write_catalog(tmp_path / "c.duckdb", {"model": "tiny", "layer": "1"}, reversed(rows))
    one, other = Catalog.open(path), Catalog.open(tmp_path / "c.duckdb")
    assert [one.dashboard(i) for i in range(6)] == [other.dashboard(i) for i in range(6)]


def test_numbers_may_be_numpys(rows: Rows, tmp_path: Path) -> None:
    rows = altered(rows, ExampleRow, 0, activations=np.array([1.5, 0.25], np.float32), start=np.int32(1))
    write_catalog(tmp_path / "c.duckdb", {}, rows)
    assert Catalog.open(tmp_path / "c.duckdb").feature(3).examples[1].activations == [0.0, 1.5, 0.0, 0.25]


def test_what_was_begun_is_carried_on(rows: Rows, tmp_path: Path) -> None:
    work = tmp_path / "work.duckdb"
    with CatalogWriter.create(work) as writer:
        writer.add(rows[:10])
    with CatalogWriter.open(work) as writer:
        writer.add(rows[10:])
        writer.publish(tmp_path / "c.duckdb")
    assert len(Catalog.open(tmp_path / "c.duckdb")) == 6


def test_a_transaction_that_fails_leaves_nothing(rows: Rows) -> None:
    with CatalogWriter.create() as writer:
        with pytest.raises(RuntimeError), writer.transaction():
            writer.add(rows)
            raise RuntimeError
        assert writer.db.execute("SELECT count(*) FROM features").fetchall() == [(0,)]


def test_rows_are_removed_by_their_values(rows: Rows) -> None:
    with CatalogWriter.create() as writer:
        writer.add(rows)
        writer.remove(LabelRow, explainer="human", parent=None)
        writer.remove(WordRow)
        assert writer.db.execute("SELECT count(*) FROM labels").fetchall() == [(6,)]
        assert writer.db.execute("SELECT count(*) FROM words").fetchall() == [(0,)]


def test_a_table_can_be_left_out(rows: Rows, tmp_path: Path) -> None:
    with CatalogWriter.create() as writer:
        writer.add(rows)
        writer.publish(tmp_path / "c.duckdb", without=[ExampleRow, PassageRow])
    assert Catalog.open(tmp_path / "c.duckdb").feature(3).examples == []


def test_publishing_replaces_what_is_there_and_leaves_no_part(rows: Rows, tmp_path: Path) -> None:
    for _ in range(2):
        write_catalog(tmp_path / "c.duckdb", {}, rows)
    assert [file.name for file in tmp_path.iterdir()] == ["c.duckdb"]


def test_a_catalogue_is_not_created_over_another(path: Path) -> None:
    with pytest.raises(FileExistsError, match="exists"):
        CatalogWriter.create(path)


WRONG = [
    ("numbered from 0", lambda rows: rows[1:]),
    ("at most one label", lambda rows: altered(rows, LabelRow, 4, shown=True)),
    ("ids of their own", lambda rows: altered(rows, LabelRow, 1, label=0)),
    ("labels are of features", lambda rows: altered(rows, LabelRow, 4, feature=9)),
    ("a parent is a label of the same feature", lambda rows: altered(rows, LabelRow, 0, parent=1)),
    ("lies within its passage", lambda rows: altered(rows, ExampleRow, 0, start=3)),
    ("either fires, with a stratum, or is silent", lambda rows: altered(rows, ExampleRow, 0, tier="random")),
    ("tokens have a text", lambda rows: altered(rows, PassageRow, 1, tokens=[0, 1, 77])),
    ("all of a document is in one split", lambda rows: altered(
        altered(rows, PassageRow, 0, document="c"), PassageRow, 2, split="test")),
    ("made from examples of the explain split", lambda rows: altered(
        altered(rows, PassageRow, 0, split="test"), LabelRow, 0, examples=[0])),
    ("never the explain split", lambda rows: [*rows, *trial(0)]),
    ("never the explain split", lambda rows: [*scored_on(rows), *trial(0, "dev")]),
    ("never the explain split", lambda rows: [*scored_on(rows), *trial(0)[1:]]),
    ("an answer or a failure", lambda rows: [*scored_on(rows), *trial(0, choices=[None])]),
    ("an answer or a failure", lambda rows: [*scored_on(rows), *trial(0, failures=["refused"])]),
    ("an answer is to every question", lambda rows: [*scored_on(rows), *trial(0, choices=[0, 0])]),
    ("an answer is to every question", lambda rows: [*scored_on(rows), *trial(0, test="stringent")]),
    ("about labels of the feature", lambda rows: [*scored_on(rows), *trial(0, label=1)]),
    ("about labels of the feature", lambda rows: [*scored_on(rows), *trial(0, label=None)]),
    ("tiles have ids of their own", lambda rows: [*scored_on(rows), *trial(0), trial(0)[0]]),
    ("a tile lies within", lambda rows: [*scored_on(rows), *altered(trial(0), TileRow, 1, start=5)]),
    ("its tiles, target, tier and stratum", lambda rows: [
        *scored_on(rows), *altered(trial(0), QuestionRow, 0, tiles=[7])]),
    ("its tiles, target, tier and stratum", lambda rows: [*scored_on(rows), *trial(0), trial(0)[2]]),
    ("ratings are of the shown label", lambda rows: [
        *rows, RatingRow(feature=3, label=1, test="auc", score=0.9, q_value=0.1, trusted=True)]),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "spoil"), WRONG)
def test_what_contradicts_itself_is_not_published(rows: Rows, tmp_path: Path, rule: str, spoil) -> None:
    with pytest.raises(ValueError, match=rule):
        write_catalog(tmp_path / "c.duckdb", {}, spoil(rows))
    assert not list(tmp_path.iterdir())


def test_a_score_that_is_no_number_is_refused(rows: Rows) -> None:
    score = ScoreRow(feature=3, label=0, test="auc", split="test", value=float("nan"), n=10)
    with CatalogWriter.create() as writer, pytest.raises(duckdb.ConstraintException, match="value"):
        writer.add([*rows, score])


def test_every_trial_is_a_row_of_a_view_and_its_texts_of_another(rows: Rows, tmp_path: Path) -> None:
    write_catalog(
        tmp_path / "c.duckdb", {}, [*scored_on(rows), *trial(0, choices=[None], failures=["refused"])]
    )
    with duckdb.connect(tmp_path / "c.duckdb", read_only=True) as db:
        (found,) = db.execute("SELECT * EXCLUDE (others, marked) FROM trials").fetchall()
        texts = db.execute("SELECT * FROM tile_texts ORDER BY tile").fetchall()
    assert found == (
        "contrastive", "embedding", 3, 0, None, "test", 0, 0, None, "refused", "random", 4, [7, 8]
    )  # fmt: skip
    assert texts == [(7, "a", "test", "\x00The"), (8, "a", "test", "The end")]


def test_hidden_examples_are_shown_only_when_asked_for(rows: Rows, tmp_path: Path) -> None:
    note = ModerationRow(
        subject="example", id=2, feature=3, category="hate", action="hide", evidence="x", source="rules"
    )
    write_catalog(tmp_path / "c.duckdb", {}, [*rows, note])
    catalog = Catalog.open(tmp_path / "c.duckdb")
    assert [e.document for e in catalog.feature(3).examples] == ["a"]
    assert [e.document for e in catalog.dashboard(3, hidden=True).examples] == ["c", "a"]
    assert not catalog.features([3])[0].hidden
