"""A catalogue of six features, made by hand."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from steersman_catalog import Catalog
from steersman_catalog.writer import Contents, Label, StoredExample, Word, write_catalog


def example(feature: int, stratum: int, document: str, activations: list[float]) -> StoredExample:
    values = np.array(activations, np.float32)
    return StoredExample(
        feature=feature,
        stratum=stratum,
        document=document,
        role="user",
        position=10,
        peak=int(values.argmax()),
        tokens=np.arange(len(values)) % 3,
        activations=values,
    )


CONTENTS = Contents(
    meta={"model": "tiny", "layer": "1"},
    h_max=np.array([8.0, 2.5, 1.0, 4.0, 3.0, 0.0]),
    density=np.array([0.1, 0.01, 0.5, 0.02, 0.03, 0.0]),
    mean_activation=np.array([3.0, 1.0, 0.5, 2.0, 2.0, 0.0]),
    num_documents=np.array([90, 20, 99, 30, 4, 0]),
    labels=[
        Label(3, "recipe, chicken, cook", "statistical"),
        Label(0, 'don\'t; SELECT 100% "quoted"', "statistical"),
        Label(1, "oven, recipe", "statistical"),
        Label(2, "“,” and", "statistical"),
        Label(2, "a second opinion", "human", shown=False),
        Label(4, "eggs", "few_firings"),
        Label(5, "never fired", "never_fired"),
    ],
    words=[
        Word(3, "recipe", 1.0),
        Word(1, "chicken", 0.9),
        Word(4, "chickens", 0.2),
        Word(2, ",", 1.0),
        Word(4, "%", 0.5),
    ],
    vocabulary={0: "The", 1: " end", 2: "\x00"},
    examples=[
        example(3, 1, "a", [0.0, 1.5, 0.0, 0.25]),
        example(1, 4, "b", [2.5]),
        example(3, 4, "c", [4.0, 0.0]),
    ],
)


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalog") / "catalog.duckdb"
    write_catalog(path, CONTENTS)
    return path


@pytest.fixture
def catalog(path: Path) -> Iterator[Catalog]:
    catalog = Catalog.open(path)
    yield catalog
    catalog.close()
