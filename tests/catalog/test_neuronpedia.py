"""To Neuronpedia's bulk files and back."""

import gzip
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from steersman_catalog import Catalog
from steersman_catalog.neuronpedia_export import export_neuronpedia
from steersman_catalog.neuronpedia_import import import_neuronpedia
from steersman_catalog.parquet import export_parquet
from steersman_catalog.rows import FeatureRow, LogitRow, MapRow, NeighbourRow, Row
from steersman_catalog.writer import write_catalog


@pytest.fixture(scope="module")
def source(rows: tuple[Row, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "c.duckdb"
    changed = [
        replace(row, histogram=[6, 2, 0, 1]) if isinstance(row, FeatureRow) and row.h_max else row
        for row in rows
    ]
    extra = [
        LogitRow(feature=3, side="promoted", rank=0, token=1, value=2.5),
        LogitRow(feature=3, side="suppressed", rank=0, token=0, value=-1.5),
        NeighbourRow(feature=3, space="decoder", rank=0, neighbour=1, similarity=0.5),
        MapRow(feature=3, x=0.25, y=-0.5),
    ]
    write_catalog(path, {"model": "tiny", "layer": "1"}, [*changed, *extra])
    return path


@pytest.fixture(scope="module")
def folder(source: Path) -> Path:
    export_neuronpedia(source, source.parent / "np")
    return source.parent / "np"


def lines(folder: Path, kind: str) -> list[dict]:
    with gzip.open(folder / kind / "batch-0.jsonl.gz") as file:
        return [msgspec.json.decode(line) for line in file]


def test_the_files_have_neuronpedias_fields(folder: Path) -> None:
    feature = lines(folder, "features")[3]
    assert (
        feature.items()
        >= {
            "modelId": "tiny",
            "layer": "1-steersman",
            "index": "3",
            "maxActApprox": 4.0,
            "frac_nonzero": 0.02,
            "pos_str": [" end"],
            "pos_values": [2.5],
            "neg_str": ["The"],
            "topkCosSimIndices": [1],
            "freq_hist_data_bar_heights": [6, 2, 0, 1],
            "freq_hist_data_bar_values": [0.0, 1.0, 2.0, 3.0],
        }.items()
    )
    activation = lines(folder, "activations")[1]
    assert (
        activation.items()
        >= {
            "index": "3",
            "tokens": ["The", " end"],
            "values": [4.0, 0.0],
            "maxValue": 4.0,
            "maxValueTokenIndex": 0,
            "dataIndex": "c",
        }.items()
    )
    assert lines(folder, "explanations")[0]["typeName"] == "statistical"


def test_what_comes_back_says_the_same(source: Path, folder: Path, tmp_path: Path) -> None:
    assert import_neuronpedia(folder, tmp_path / "back.duckdb") == 6
    before, after = Catalog.open(source), Catalog.open(tmp_path / "back.duckdb")
    for index in range(6):
        one, other = before.dashboard(index), after.dashboard(index)
        assert other.feature.label == one.feature.label
        assert (other.feature.h_max, other.feature.density) == (one.feature.h_max, one.feature.density)
        assert (other.histogram, other.promoted, other.suppressed) == (
            one.histogram,
            one.promoted,
            one.suppressed,
        )
        texts = [
            [(label.text, label.explainer, label.shown) for label in board.labels] for board in (one, other)
        ]
        assert texts[0] == texts[1]
        for was, came in zip(one.examples, other.examples, strict=True):
            assert (came.tokens, came.activations) == (was.tokens, was.activations)
            assert (came.peak, came.stratum, came.document) == (was.peak, was.stratum, was.document)
    assert after.neighbors(3, space="decoder")[0].feature.index == 1
    assert after.map()[3].tolist() == [0.25, -0.5]


def write_lines(folder: Path, kind: str, *found: dict) -> None:
    (folder / kind).mkdir(parents=True)
    with gzip.open(folder / kind / "batch-0.jsonl.gz", "wb") as file:
        file.write(b"\n".join(map(msgspec.json.encode, found)))


def test_a_source_of_theirs_is_read_with_fields_we_do_not_know(tmp_path: Path) -> None:
    ids = {"modelId": "gpt2-small", "layer": "6-res-jb", "index": "2"}
    write_lines(
        tmp_path,
        "features",
        ids | {"maxActApprox": 8.0, "neuron_alignment_l1": [1], "createdAt": "2024-01-01"},
    )
    explanation = ids | {
        "typeName": "oai_token-act-pair",
        "explanationModelName": "gpt-4o-mini",
        "embedding": "[0]",
    }
    write_lines(
        tmp_path,
        "explanations",
        explanation | {"id": "b", "description": "newer", "createdAt": "2024-05-02T10:00:00.000Z"},
        explanation | {"id": "a", "description": "older", "createdAt": "2024-05-01 10:00:00"},
    )
    assert import_neuronpedia(tmp_path, tmp_path / "c.duckdb", d_sae=4) == 4
    catalog = Catalog.open(tmp_path / "c.duckdb")
    assert [label.text for label in catalog.dashboard(2).labels] == ["newer", "older"]
    assert catalog.dashboard(2).labels[0].model == "gpt-4o-mini"
    assert catalog.features([3])[0].flags == ["not_imported"]
    assert catalog.meta["layer"] == "6"


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    write_lines(tmp_path, "features", {"modelId": "m", "layer": "l", "index": "0"}, {"modelId": 3})
    with pytest.raises(ValueError, match=r"batch-0\.jsonl\.gz, line 2"):
        import_neuronpedia(tmp_path, tmp_path / "c.duckdb")


def test_a_folder_without_features_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no folder `features`"):
        import_neuronpedia(tmp_path, tmp_path / "c.duckdb")


@pytest.mark.parametrize("export", [export_neuronpedia, export_parquet])
def test_nothing_is_exported_over_what_is_there(path: Path, tmp_path: Path, export) -> None:
    with pytest.raises(FileExistsError):
        export(path, tmp_path)


def test_parquet_holds_every_table_that_is_not_empty(path: Path, tmp_path: Path) -> None:
    written = export_parquet(path, tmp_path / "parquet")
    names = {"meta", "terms", "features", "passages", "vocabulary", "examples", "labels", "words"}
    assert {file.stem for file in written} == names
