"""Write a catalogue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from itertools import chain
from pathlib import Path

import duckdb
import numpy as np

from steersman_catalog.catalog import SCHEMA_VERSION
from steersman_catalog.terms import terms_of

OLDEST_READER = "v1.1.0"
"""Version of DuckDB that can still read the file."""

LABEL_WEIGHT = 3.0
"""What a word of a label adds to its weight as a term; other words weigh 1 at most."""


@dataclass(frozen=True, slots=True)
class Label:
    """A name for a feature; `schema.sql` lists the kinds."""

    feature: int
    text: str
    kind: str
    shown: bool = True


@dataclass(frozen=True, slots=True)
class Word:
    """A word a feature can be found by, besides those of its labels."""

    feature: int
    text: str
    weight: float
    """Above 0, and 1 at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredExample:
    """A piece of a document around a position where a feature fired."""

    feature: int
    stratum: int
    document: str
    role: str
    position: int
    """Of the peak, in the document."""
    peak: int
    """Of the peak, in `tokens`."""
    tokens: np.ndarray
    """Token ids."""
    activations: np.ndarray
    """One a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """All that a catalogue holds; the arrays have one entry a feature."""

    meta: dict[str, str]
    h_max: np.ndarray
    density: np.ndarray
    mean_activation: np.ndarray
    num_documents: np.ndarray
    labels: Sequence[Label]
    """At least one a feature, exactly one of them shown."""
    words: Sequence[Word] = ()
    vocabulary: dict[int, str] = field(default_factory=dict)
    """Text of every token that an example holds."""
    examples: Sequence[StoredExample] = ()


def write_catalog(path: Path, contents: Contents) -> None:
    """Write the file in one step, replacing one that is there."""
    shown = sorted(label.feature for label in contents.labels if label.shown)
    assert shown == list(range(len(contents.h_max))), "Every feature has one shown label."
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    try:
        with duckdb.connect(part, config={"storage_compatibility_version": OLDEST_READER}) as db:
            db.execute(files("steersman_catalog").joinpath("schema.sql").read_text(encoding="utf-8"))
            _fill(db, contents)
            db.execute("CHECKPOINT")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _fill(db: duckdb.DuckDBPyConnection, contents: Contents) -> None:
    meta = contents.meta | {"schema_version": str(SCHEMA_VERSION)}
    _insert(db, "meta", {"key": list(meta), "value": list(meta.values())})
    features = {
        "feature": np.arange(len(contents.h_max)),
        "h_max": contents.h_max,
        "density": contents.density,
        "mean_activation": contents.mean_activation,
        "num_documents": contents.num_documents,
    }
    _insert(db, "features", features)
    labels = sorted(contents.labels, key=lambda label: label.feature)
    columns = ("feature", "text", "kind", "shown")
    _insert(db, "labels", {name: [getattr(label, name) for label in labels] for name in columns})
    vocabulary = dict(sorted(contents.vocabulary.items()))
    _insert(db, "vocabulary", {"token": list(vocabulary), "text": list(vocabulary.values())})
    _insert_examples(db, sorted(contents.examples, key=lambda example: example.feature))
    terms = _terms(contents)
    _insert(
        db,
        "terms",
        {
            "feature": [feature for feature, _ in terms],
            "term": [term for _, term in terms],
            "weight": list(terms.values()),
        },
    )


def _terms(contents: Contents) -> dict[tuple[int, str], float]:
    weights: dict[tuple[int, str], float] = {}
    for label in contents.labels:
        for term in dict.fromkeys(terms_of(label.text)):
            weights[label.feature, term] = LABEL_WEIGHT
    found: dict[tuple[int, str], float] = {}
    for word in contents.words:
        for term in terms_of(word.text):
            found[word.feature, term] = max(word.weight, found.get((word.feature, term), 0.0))
    for key, weight in found.items():
        weights[key] = weights.get(key, 0.0) + weight
    return dict(sorted(weights.items()))


def _insert_examples(db: duckdb.DuckDBPyConnection, examples: Sequence[StoredExample]) -> None:
    columns = ("feature", "stratum", "document", "role", "position", "peak")
    heads = {name: [getattr(example, name) for example in examples] for name in columns}
    heads["example"] = list(range(len(examples)))
    lengths = [len(example.tokens) for example in examples]
    tokens = {
        "example": np.repeat(np.arange(len(examples)), lengths),
        "place": np.fromiter(chain.from_iterable(map(range, lengths)), np.int32),
        "token": np.concatenate([np.zeros(0, np.int32), *(example.tokens for example in examples)]),
        "activation": np.concatenate(
            [np.zeros(0, np.float32), *(example.activations for example in examples)]
        ),
    }
    db.register("heads", _columns(heads))
    db.register("flat", _columns(tokens))
    db.execute(
        "INSERT INTO examples BY NAME"
        " WITH lists AS ("
        "   SELECT example, list(token ORDER BY place) AS tokens,"
        "     list(activation ORDER BY place) AS activations"
        "   FROM flat GROUP BY example)"
        " SELECT * EXCLUDE example FROM heads JOIN lists USING (example) ORDER BY example"
    )
    db.unregister("heads")
    db.unregister("flat")


def _insert(db: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, list | np.ndarray]) -> None:
    db.register("rows", _columns(columns))
    db.execute(f"INSERT INTO {table} BY NAME SELECT * FROM rows")
    db.unregister("rows")


def _columns(columns: Mapping[str, list | np.ndarray]) -> dict[str, np.ndarray]:
    """Columns as DuckDB reads them: numbers as they are, texts as objects."""
    return {name: np.asarray(column, dtype=_dtype(column)) for name, column in columns.items()}


def _dtype(column: list | np.ndarray) -> type | None:
    return object if len(column) and isinstance(column[0], str) else None
