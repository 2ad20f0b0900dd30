"""One file, as it was when it was opened; all reads of one question use the same snapshot."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import duckdb

from steersman_catalog.keyword_index import KeywordIndex
from steersman_catalog.overview import Overview
from steersman_catalog.semantic_index import SemanticIndex
from steersman_catalog.verdicts import Verdicts, make_marks
from steersman_catalog.versions import load_catalog

SIZES = (
    ("features", "SELECT count(*) FROM catalog.features", 2**22),
    ("labels", "SELECT count(*) FROM catalog.labels", 2**24),
    ("bytes in labels", "SELECT sum(strlen(text)) FROM catalog.labels", 2**30),
    ("flags", "SELECT sum(len(flags)) FROM catalog.features", 2**26),
    ("terms", "SELECT count(*) FROM catalog.terms", 2**27),
    ("bytes in terms", "SELECT sum(strlen(term)) FROM (SELECT DISTINCT term FROM catalog.terms)", 2**30),
    ("numbers in embeddings", "SELECT sum(len(embedding)) FROM catalog.embeddings", 2**32),
)
"""What is kept in memory of a catalogue: its name, how to count it, and the most there may be."""


class Reader:
    """Asks an open database. Any thread may call any method."""

    def __init__(self, db: duckdb.DuckDBPyConnection) -> None:
        self._db = db
        self._local = threading.local()

    def rows(self, query: str, **parameters: Any) -> list[dict[str, Any]]:
        """What a query finds."""
        cursor = self._cursor().execute(query, parameters)
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def columns(self, query: str) -> dict[str, Any]:
        """What a query finds, a numpy array a column."""
        return self._cursor().execute(query).fetchnumpy()

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        """One a thread: a DuckDB connection is not thread-safe."""
        cursor = getattr(self._local, "cursor", None)
        if cursor is None:
            cursor = self._local.cursor = self._db.cursor()
            cursor.execute("USE catalog")
        return cursor


class Snapshot:
    """A catalogue file and what is kept of it in memory. Any thread may call any method.

    The file closes, and DuckDB's threads end, when nothing refers to the snapshot any more: what it keeps
    must not refer back to it.
    """

    def __init__(self, db: duckdb.DuckDBPyConnection, meta: dict[str, str], path: Path) -> None:
        reader = Reader(db)
        self.rows, self.columns = reader.rows, reader.columns
        self._lock = threading.Lock()
        self._path = path
        self.meta = meta
        self.overview = Overview(self.rows)

    @classmethod
    def open(cls, path: Path, verdicts: Verdicts | None = None) -> Self:
        """Open a file; see `load_catalog` for what it raises. `verdicts`: on what moderation marked.

        What a stranger put into it can reach nothing else: its views are not used, and no query may read
        another file.
        """
        db, meta = load_catalog(path, locked=True)
        try:
            _check_size(db, path)
            make_marks(db, verdicts or {})
            return cls(db, meta, path)
        except duckdb.Error as error:
            db.close()
            raise ValueError(f"{path} is damaged: {error}") from error
        except BaseException:
            db.close()
            raise

    @property
    def keywords(self) -> KeywordIndex:
        """To search by words. The first call takes a moment.

        Raises:
            ValueError: The file is damaged.
        """
        with self._lock:
            return self._keywords

    @property
    def semantic(self) -> SemanticIndex | None:
        """To search by meaning; None if the labels have no embeddings. The first call takes a moment.

        Raises:
            ValueError: The file is damaged.
        """
        with self._lock:
            return self._semantic

    @cached_property
    def _keywords(self) -> KeywordIndex:
        with _named(self._path):
            return KeywordIndex.load(self.columns, len(self.overview))

    @cached_property
    def _semantic(self) -> SemanticIndex | None:
        with _named(self._path):
            return SemanticIndex.load(self.columns, self.meta, len(self.overview))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Say which file is damaged."""
    try:
        yield
    except (duckdb.Error, ValueError) as error:
        raise ValueError(f"{path} is damaged: {error}") from error


def _check_size(db: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Refuse to read into memory what a small file can blow up to.

    Raises:
        ValueError: It is too much.
    """
    for what, query, most in SIZES:
        (found,) = db.execute(query).fetchall()[0]
        if (found or 0) > most:
            raise ValueError(f"{path} has {found} {what}; at most {most} are read.")
