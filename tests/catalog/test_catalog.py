"""Reading what was written."""

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import numpy as np
import pytest

from steersman.types import Example, Feature
from steersman_catalog import Catalog, UnknownFeatureError


def test_a_feature_comes_back_as_it_was_written(catalog: Catalog) -> None:
    high = Example("c", "user", ["The", " end"], [4.0, 0.0], 0, 4)
    low = Example("a", "user", ["The", " end", "\x00", "The"], [0.0, 1.5, 0.0, 0.25], 1, 1)
    assert catalog.feature(3) == Feature(
        index=3,
        label="recipe, chicken, cook",
        label_kind="statistical",
        h_max=4.0,
        density=0.02,
        examples=[high, low],
    )


def test_the_shown_label_is_shown(catalog: Catalog) -> None:
    assert catalog.feature(2).label == "“,” and"


def test_a_feature_without_examples_has_none(catalog: Catalog) -> None:
    assert catalog.feature(5).examples == []


def test_features_come_in_the_order_asked_for_and_as_often(catalog: Catalog) -> None:
    assert [f.index for f in catalog.features([4, 0, 4])] == [4, 0, 4]


def test_no_features_are_no_features(catalog: Catalog) -> None:
    assert catalog.features([]) == []


@pytest.mark.parametrize("index", [-1, 6, 2**40])
def test_an_unknown_feature_is_named_with_the_valid_range(catalog: Catalog, index: int) -> None:
    with pytest.raises(UnknownFeatureError, match=rf"No feature {index}: this catalogue's are 0 to 5\."):
        catalog.features([0, index])


def test_h_max_is_one_float32_a_feature(catalog: Catalog) -> None:
    h_max = catalog.h_max()
    assert h_max.dtype == np.float32
    assert h_max.tolist() == [8.0, 2.5, 1.0, 4.0, 3.0, 0.0]


def test_meta_says_what_it_was_told_and_the_schema_version(catalog: Catalog) -> None:
    assert catalog.meta == {"model": "tiny", "layer": "1", "schema_version": "3"}


@pytest.mark.parametrize("limit", [1, 2, 4, 6, 9])
def test_paging_visits_every_feature_once(catalog: Catalog, limit: int) -> None:
    seen, after, more = [], None, True
    while more and len(seen) <= len(catalog):
        page, more = catalog.list(limit=limit, after=after)
        seen += [feature.index for feature in page]
        after = seen[-1]
    assert seen == list(range(len(catalog)))


@pytest.mark.parametrize(("limit", "more"), [(5, True), (6, False), (7, False)])
def test_a_page_says_whether_more_follow(catalog: Catalog, limit: int, more: bool) -> None:
    assert catalog.list(limit=limit)[1] is more


def test_after_the_last_feature_there_is_nothing(catalog: Catalog) -> None:
    assert catalog.list(limit=2, after=5) == ([], False)


def test_a_page_after_an_unknown_feature_is_refused(catalog: Catalog) -> None:
    with pytest.raises(UnknownFeatureError, match="No feature 6"):
        catalog.list(limit=2, after=6)


def test_an_empty_page_is_refused(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="`limit` is 0"):
        catalog.list(limit=0)


def test_threads_read_at_the_same_time(catalog: Catalog) -> None:
    alone = [catalog.feature(index % 6) for index in range(60)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(catalog.feature, [index % 6 for index in range(60)]))
    assert together == alone


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="steersman label"):
        Catalog.open(tmp_path / "catalog.duckdb")


def test_another_schema_version_is_refused(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    other.write_bytes(path.read_bytes())
    with duckdb.connect(other) as db:
        db.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(ValueError, match="schema version 99, and this steersman reads 1 to 3"):
        Catalog.open(other)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.duckdb"
    path.write_text("version https://git-lfs.github.com/spec/v1\n" * 100)
    with pytest.raises(ValueError, match="not a DuckDB file"):
        Catalog.open(path)


def test_another_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "sales.duckdb"
    with duckdb.connect(path) as db:
        db.execute("CREATE TABLE sales (amount INTEGER)")
    with pytest.raises(ValueError, match="no catalogue"):
        Catalog.open(path)


def test_the_catalogue_cannot_be_written_to(catalog: Catalog) -> None:
    with pytest.raises(duckdb.InvalidInputException, match="read-only"):
        catalog._snapshot.rows("DELETE FROM labels")


def test_an_excerpt_reads_as_text_with_its_peak_marked(path: Path) -> None:
    with duckdb.connect(path, read_only=True) as db:
        query = "SELECT excerpt, activation FROM excerpts WHERE feature = 3 ORDER BY stratum DESC"
        assert db.execute(query).fetchall() == [("«The» end", 4.0), ("The« end»\x00The", 1.5)]


def test_a_catalogue_that_was_let_go_of_is_closed_at_once(path: Path) -> None:
    catalog = Catalog.open(path)
    catalog.search("recipe", limit=1)
    snapshot = weakref.ref(catalog._snapshot)
    gc.disable()  # at once, not when garbage is collected next
    try:
        catalog.close()
        assert snapshot() is None
    finally:
        gc.enable()
