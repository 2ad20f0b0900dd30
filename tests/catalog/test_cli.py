"""`steersman catalog`."""

from pathlib import Path

import pytest

from steersman.cli import run


def test_info_counts_what_is_there(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["catalog", "info", str(path)])
    lines = {
        line.split(maxsplit=1)[0]: line.split(maxsplit=1)[1].strip()
        for line in capsys.readouterr().out.splitlines()
    }
    assert (lines["model"], lines["features"], lines["examples"]) == ("tiny", "6 rows", "3 rows")


def test_search_shows_the_best_match_first(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(["catalog", "search", str(path), "chicken", "--limit", "2"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["3", "1"]
    assert lines[3] == "There are more: --limit 4"


def test_export_import_and_migrate_make_catalogues(path: Path, tmp_path: Path) -> None:
    run(["catalog", "export", str(path), "--format", "neuronpedia", "--out", str(tmp_path / "np")])
    run(["catalog", "export", str(path), "--format", "parquet", "--out", str(tmp_path / "parquet")])
    run(["catalog", "import", str(tmp_path / "np"), "--out", str(tmp_path / "back.duckdb")])
    run(["catalog", "migrate", str(tmp_path / "back.duckdb")])
    names = {"np", "parquet", "back.duckdb"}
    assert {made.name for made in tmp_path.iterdir()} == names
