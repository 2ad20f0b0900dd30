"""Older, newer and hostile files."""

from pathlib import Path

import duckdb
import pytest

from steersman_catalog import Catalog
from steersman_catalog.rows import TABLES
from steersman_catalog.versions import SCHEMA_VERSION, SchemaVersionError, schema
from steersman_catalog.writer import CatalogWriter


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A catalogue of version 1, as its own writer made it."""
    path = tmp_path / "old.duckdb"
    with duckdb.connect(path) as db:
        db.execute(schema(1))
        db.execute("""
            INSERT INTO meta VALUES ('schema_version', '1'), ('created', '2026-11-23T09:35:11+00:00');
            INSERT INTO features VALUES (0, 4, 0.02, 2, 30), (1, 3, 0.03, 2, 4), (2, 0, 0, 0, 0);
            INSERT INTO labels VALUES (0, 'recipe, chicken', 'statistical', TRUE),
                (1, 'eggs', 'few_firings', TRUE), (2, 'never fired', 'never_fired', TRUE);
            INSERT INTO vocabulary VALUES (0, 'The'), (1, ' end');
            INSERT INTO examples VALUES (0, 4, 'c', 'user', 10, 1, [0, 1, 0], [0, 4, 1.5]),
                (0, 1, 'a', 'assistant', 0, 0, [1, 0], [1, 0]);
            INSERT INTO terms VALUES ('recipe', 0, 4), ('chicken', 0, 3), ('egg', 1, 3), ('oven', 0, 0.5),
                ('never', 2, 3), ('fired', 2, 3);
        """)
    return path


def test_an_older_catalogue_is_read_as_it_is(old: Path) -> None:
    catalog = Catalog.open(old)
    assert [(f.label, f.label_kind) for f in catalog.features([0, 1, 2])] == [
        ("recipe, chicken", "statistical"),
        ("eggs", "few_firings"),
        ("never fired", "never_fired"),
    ]
    first, second = catalog.feature(0).examples
    assert (first.tokens, first.activations, first.peak) == (["The", " end", "The"], [0.0, 4.0, 1.5], 1)
    assert (second.document, second.role, second.stratum) == ("a", "assistant", 1)
    assert [f.index for f in catalog.search("ovens", limit=3)[0]] == [0]


def test_reading_an_older_catalogue_does_not_touch_it(old: Path) -> None:
    before = old.read_bytes()
    Catalog.open(old).feature(0)
    assert old.read_bytes() == before


def test_a_migrated_catalogue_says_the_same_and_has_the_current_version(old: Path, tmp_path: Path) -> None:
    with CatalogWriter.copy(old) as writer:
        writer.publish(tmp_path / "new.duckdb")
    migrated, kept = Catalog.open(tmp_path / "new.duckdb"), Catalog.open(old)
    assert migrated.meta["schema_version"] == str(SCHEMA_VERSION)
    assert [migrated.dashboard(i) for i in range(3)] == [kept.dashboard(i) for i in range(3)]
    assert migrated.search("recipe", limit=3) == kept.search("recipe", limit=3)


def test_trials_of_version_2_are_kept_with_their_texts(tmp_path: Path) -> None:
    path = tmp_path / "2.duckdb"
    with duckdb.connect(path) as db:
        db.execute(schema(2))
        db.execute("""
            INSERT INTO meta VALUES ('schema_version', '2');
            INSERT INTO features VALUES (0, 4, 0.02, 2, 30, NULL, NULL, NULL, []);
            INSERT INTO labels (label, feature, text, kind, explainer, examples, created, shown)
                SELECT label, 0, 'a', 'mixed', 'x', [], now(), label = 0 FROM (VALUES (0), (1)) AS _(label);
            INSERT INTO vocabulary VALUES (0, 'The'), (1, ' end');
            INSERT INTO passages VALUES (0, 'd', 0, 'test', [0, 1, 0, 1]);
            INSERT INTO examples VALUES (5, 0, 0, 0, 2, 0, 'user', 4, NULL, [0], [1]),
                (6, 0, 0, 2, 2, 0, 'user', NULL, 'random', [], []);
            INSERT INTO trials VALUES
                ('contrastive', 'lexical', 0, 0, NULL, 'test', [5, 6], 0, 1, NULL, 'random', 4, NULL),
                ('contrastive', 'lexical', 0, 0, NULL, 'test', [6, 5], 1, NULL, 'refused', 'near', 4, NULL),
                ('contrastive', 'lexical', 0, 1, NULL, 'test', [6, 5], 1, 1, NULL, 'near', 4, NULL);
        """)
    with CatalogWriter.copy(path) as writer:
        writer.publish(tmp_path / "3.duckdb")
    with duckdb.connect(tmp_path / "3.duckdb", read_only=True) as db:
        found = db.execute("""SELECT label, tiles, target, choice, failure, tier FROM trials ORDER BY ALL""")
        assert found.fetchall() == [
            (0, [5, 6], 0, 1, None, "random"),
            (0, [6, 5], 1, None, "refused", "near"),
            (1, [5, 6], 0, None, "not_asked", "random"),
            (1, [6, 5], 1, 1, None, "near"),
        ]
        assert db.execute("SELECT text FROM tile_texts").fetchall() == [("The end",), ("The end",)]


def test_an_older_catalogue_is_not_written_to_before_it_is_migrated(old: Path) -> None:
    with pytest.raises(ValueError, match="steersman catalog migrate"):
        CatalogWriter.open(old)


@pytest.mark.parametrize("version", ["4", "99", "x", ""])
def test_a_newer_or_unknown_version_is_refused(path: Path, tmp_path: Path, version: str) -> None:
    other = tmp_path / "other.duckdb"
    other.write_bytes(path.read_bytes())
    with duckdb.connect(other) as db:
        db.execute("UPDATE meta SET value = $version WHERE key = 'schema_version'", {"version": version})
    with pytest.raises(
        SchemaVersionError, match=rf"schema version {version}, and this steersman reads 1 to 3"
    ):
        Catalog.open(other)


def test_a_catalogue_that_lacks_a_column_is_named_with_it(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.duckdb"
    other.write_bytes(path.read_bytes())
    with duckdb.connect(other) as db:
        db.execute("ALTER TABLE terms DROP COLUMN score")
    with pytest.raises(ValueError, match="no table terms with a column score"):
        Catalog.open(other)


def test_a_view_in_the_place_of_a_table_is_refused(path: Path, tmp_path: Path) -> None:
    other, secret = tmp_path / "other.duckdb", tmp_path / "secret.csv"
    secret.write_text("label,embedding\n1,[1]\n")
    other.write_bytes(path.read_bytes())
    with duckdb.connect(other) as db:
        view = f"SELECT 1 AS label, [1::TINYINT] AS embedding FROM '{secret}'"
        db.execute(f"DROP TABLE embeddings; CREATE VIEW embeddings AS {view}")
    with pytest.raises(ValueError, match="no table embeddings"):
        Catalog.open(other)


def test_no_query_can_read_another_file(catalog: Catalog, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    with pytest.raises(duckdb.PermissionException):
        catalog._snapshot.rows(f"FROM '{tmp_path}/secret.csv'")


@pytest.mark.parametrize("cut", [100, 5000, 60_000])
def test_a_file_that_was_cut_off_is_refused(path: Path, tmp_path: Path, cut: int) -> None:
    other = tmp_path / "cut.duckdb"
    other.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"cut\.duckdb"):
        Catalog.open(other)


def test_every_row_has_the_columns_of_its_table() -> None:
    with duckdb.connect() as db:
        db.execute(schema())
        for row_type in TABLES:
            columns = [name for name, *_ in db.execute(f"DESCRIBE {row_type.table}").fetchall()]
            assert list(row_type.__struct_fields__) == columns
