"""The tables of the documents come from results files, and from nothing else."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def facts(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """`benchmarks/facts.py`, as a script beside it imports it."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module("facts")


@pytest.fixture
def render(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """`benchmarks/render.py`."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    yield importlib.import_module("render")
    sys.modules.pop("render")


def test_a_written_table_is_rendered_between_its_marks(
    facts: ModuleType, render: ModuleType, tmp_path: Path
) -> None:
    table = facts.Table(["engine", "tokens/s"], [["steersman", "120"], ["plain", "**26**"]], "Medians of 5.")
    facts.write("speed", workload={"streams": 1}, results={}, tables={"one": table}, folder=tmp_path)
    document = "Before.\n<!-- table: speed.one -->\nold\n<!-- end -->\nAfter.\n"
    after = render.rendered(document, lambda name: render.table_of(name, tmp_path))
    assert "| engine | tokens/s |\n| --- | --: |\n| steersman | 120 |\n| plain | **26** |" in after
    assert "old" not in after and after.startswith("Before.\n") and after.endswith("<!-- end -->\nAfter.\n")
    assert "Medians of 5." in after and facts.commit() in after
    assert render.rendered(after, lambda name: render.table_of(name, tmp_path)) == after


def test_a_table_that_no_benchmark_made_is_refused(render: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no speed\.json"):
        render.table_of("speed.one", tmp_path)


def test_the_tables_in_the_documents_are_those_of_the_results(render: ModuleType) -> None:
    for path in render.documents():
        text = path.read_text(encoding="utf-8")
        assert render.rendered(text, render.table_of) == text, f"run: python benchmarks/render.py {path}"


def test_the_steering_table_gives_steered_over_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    cell = {"engine": "steersman", "streams": 8, "prompt": 64, "first_token_s": 0.1}
    cell |= {"between_p50_s": 0.02, "between_p99_s": 0.03}
    cells = [{**cell, "edits": 0, "tokens_per_s": 200.0}, {**cell, "edits": 16, "tokens_per_s": 190.0}]
    keys = ("read_gb_per_s", "float32_gflop_per_s", "one_stream_float32", "one_stream_16_bit", "many_streams")
    found = importlib.import_module("engine_tables").tables(
        {"cells": cells, "bound": dict.fromkeys(keys, 1.0)}
    )
    assert found["steering"].rows == [["64", "8", "200", "0.95"]]
    assert found["prompt_64"].rows == [["steersman", "200"]]
