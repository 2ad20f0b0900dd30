"""The catalogue of an SAE's features, a DuckDB file that is only read; `schema/2.sql` describes it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import duckdb
import msgspec
import numpy as np

from steersman.types import Example, Feature
from steersman_catalog.terms import terms_of
from steersman_catalog.versions import SCHEMA_VERSION, connect, upgrade

Page = tuple[list[Feature], bool]
"""Features without examples, and whether more follow."""

BM25 = """
SELECT feature, round(sum(score), 3) AS score FROM terms WHERE term IN (SELECT unnest($terms::VARCHAR[]))
GROUP BY feature ORDER BY score DESC, feature
"""

EXAMPLES = """
SELECT document, role, tokens[examples.start + 1:examples.start + length] AS tokens, peak, stratum,
    places, activations
FROM examples JOIN passages USING (passage)
WHERE feature = $index AND tier IS NULL
ORDER BY activations[list_position(places, peak)] DESC, document
"""


class UnknownFeatureError(LookupError):
    """No feature has that index."""

    def __init__(self, index: int, num_features: int) -> None:
        super().__init__(f"No feature {index}: this catalogue's are 0 to {num_features - 1}.")
        self.index = index


class Catalog:
    """Every feature of an SAE. Any thread may call any method."""

    def __init__(self, db: duckdb.DuckDBPyConnection, meta: dict[str, str]) -> None:
        self._db = db
        self._num_features = db.execute("SELECT count(*) FROM features").fetchall()[0][0]
        self.meta = meta

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a catalogue for reading.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no catalogue, or one of a newer schema version.
        """
        db, meta = connect(path)
        version = int(meta["schema_version"])
        if version < SCHEMA_VERSION:
            db.close()
            db = upgrade(path, version)
        return cls(db, meta)

    def close(self) -> None:
        """Close the file; no method may be called after."""
        self._db.close()

    def __len__(self) -> int:
        """Number of features, those that never fired included."""
        return self._num_features

    def h_max(self) -> np.ndarray:
        """Every feature's largest activation, float32 `[d_sae]`; 0 where it never fired."""
        rows = self._db.cursor().execute("SELECT h_max FROM features ORDER BY feature").fetchnumpy()
        return np.asarray(rows["h_max"], dtype=np.float32)

    def feature(self, index: int) -> Feature:
        """One feature with its examples, highest first.

        Raises:
            UnknownFeatureError: No feature has that index.
        """
        (feature,) = self.features([index])
        rows = _rows(
            self._db,
            EXAMPLES,
            index=index,
        )
        ids = sorted({token for row in rows for token in row["tokens"]})
        texts = _rows(
            self._db, "SELECT token, text FROM vocabulary WHERE token IN (SELECT unnest($ids))", ids=ids
        )
        text_of = {row["token"]: row["text"] for row in texts}
        for row in rows:
            row["tokens"] = [text_of[token] for token in row["tokens"]]
            dense = [0.0] * len(row["tokens"])
            for place, activation in zip(row.pop("places"), row["activations"], strict=True):
                dense[place] = activation
            row["activations"] = dense
        examples = [Example(**row) for row in rows]
        return msgspec.structs.replace(feature, examples=examples)

    def features(self, indices: Sequence[int]) -> list[Feature]:
        """Those features in that order, without examples; an index may come twice.

        Raises:
            UnknownFeatureError: No feature has one of the indices.
        """
        for index in indices:
            self._check(index)
        rows = _rows(
            self._db,
            "SELECT feature AS index, label, label_kind, h_max, density FROM shown_features"
            " WHERE feature IN (SELECT unnest($indices::INTEGER[]))",
            indices=[int(index) for index in indices],
        )
        found = {row["index"]: Feature(**row) for row in rows}
        return [found[index] for index in indices]

    def search(self, query: str, *, limit: int, after: int | None = None) -> Page:
        """Features that match words of `query`, best first, each with its `score` (BM25).

        `after`: the last feature of the page before.

        Raises:
            ValueError: The query is empty, `limit` is below 1, or `after` is not among the results.
        """
        terms = terms_of(query)
        if not terms:
            raise ValueError(f"The query {query!r} has no word to search for.")
        ranked = _rows(self._db, BM25, terms=terms)
        start = 0
        if after is not None:
            order = [row["feature"] for row in ranked]
            if after not in order:
                raise ValueError(
                    f"`after` is {after}, and the search for {query!r} does not find that feature:"
                    " pass the last feature of the page before, with the same query."
                )
            start = order.index(after) + 1
        page, more = _page(ranked[start:], limit)
        features = self.features([row["feature"] for row in page])
        scored = [
            msgspec.structs.replace(feature, score=row["score"])
            for feature, row in zip(features, page, strict=True)
        ]
        return scored, more

    def list(self, *, limit: int, after: int | None = None) -> Page:
        """Features by index, from the one after `after` on.

        Raises:
            ValueError: `limit` is below 1.
            UnknownFeatureError: No feature has the index `after`.
        """
        start = 0
        if after is not None:
            self._check(after)
            start = after + 1
        indices, more = _page(range(start, len(self)), limit)
        return self.features(indices), more

    def _check(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise UnknownFeatureError(index, len(self))


def _rows(db: duckdb.DuckDBPyConnection, query: str, **parameters: Any) -> list[dict[str, Any]]:
    cursor = db.cursor().execute(query, parameters)  # one per call: a connection is not thread-safe
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _page(found: Sequence[Any], limit: int) -> tuple[Sequence[Any], bool]:
    """The first `limit`, and whether there are more."""
    if limit < 1:
        raise ValueError(f"`limit` is {limit}; it is at least 1.")
    return found[:limit], len(found) > limit
