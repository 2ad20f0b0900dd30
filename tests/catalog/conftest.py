"""A catalogue of six features, made by hand."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from steersman_catalog import Catalog
from steersman_catalog.rows import ExampleRow, FeatureRow, LabelRow, PassageRow, Row, TokenRow, WordRow
from steersman_catalog.writer import write_catalog

META = {"model": "tiny", "layer": "1"}
TEXTS = {0: "The", 1: " end", 2: "\x00"}


def label(
    number: int, feature: int, text: str, explainer: str = "statistical", shown: bool = True
) -> LabelRow:
    return LabelRow(label=number, feature=feature, text=text, kind="mixed", explainer=explainer, shown=shown)


def example(number: int, feature: int, stratum: int, document: str, acts: list[float]) -> list[Row]:
    """An example, and a passage of its own to cut it from: one token more at either end."""
    places = [place for place, value in enumerate(acts) if value]
    return [
        PassageRow(
            passage=number,
            document=document,
            split="explain",
            tokens=[2, *(place % 3 for place in range(len(acts))), 2],
        ),
        ExampleRow(
            example=number,
            feature=feature,
            passage=number,
            start=1,
            length=len(acts),
            peak=acts.index(max(acts)),
            role="user",
            stratum=stratum,
            places=places,
            activations=[acts[place] for place in places],
        ),
    ]


def feature(
    index: int, h_max: float, density: float, mean: float, num_documents: int, *flags: str
) -> FeatureRow:
    return FeatureRow(
        feature=index,
        h_max=h_max,
        density=density,
        mean_activation=mean,
        num_documents=num_documents,
        flags=list(flags),
    )


ROWS: list[Row] = [
    feature(0, 8.0, 0.1, 3.0, 90),
    feature(1, 2.5, 0.01, 1.0, 20),
    feature(2, 1.0, 0.5, 0.5, 99),
    feature(3, 4.0, 0.02, 2.0, 30),
    feature(4, 3.0, 0.03, 2.0, 4, "few_firings"),
    feature(5, 0.0, 0.0, 0.0, 0, "never_fired"),
    label(0, 3, "recipe, chicken, cook"),
    label(1, 0, 'don\'t; SELECT 100% "quoted"'),
    label(2, 1, "oven, recipe"),
    label(3, 2, "“,” and"),
    label(4, 2, "a second opinion", "human", shown=False),
    label(5, 4, "eggs"),
    label(6, 5, "never fired"),
    WordRow(feature=3, text="recipe", weight=1.0),
    WordRow(feature=1, text="chicken", weight=0.9),
    WordRow(feature=4, text="chickens", weight=0.2),
    WordRow(feature=2, text=",", weight=1.0),
    WordRow(feature=4, text="%", weight=0.5),
    *(TokenRow(token=token, text=text) for token, text in TEXTS.items()),
    *example(0, 3, 1, "a", [0.0, 1.5, 0.0, 0.25]),
    *example(1, 1, 4, "b", [2.5]),
    *example(2, 3, 4, "c", [4.0, 0.0]),
]


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalog") / "catalog.duckdb"
    write_catalog(path, META, ROWS)
    return path


@pytest.fixture
def catalog(path: Path) -> Iterator[Catalog]:
    catalog = Catalog.open(path)
    yield catalog
    catalog.close()


@pytest.fixture(scope="session")
def rows() -> tuple[Row, ...]:
    """What `path` was written from."""
    return tuple(ROWS)
