"""Write a catalogue: collect rows in any order, check them, publish them as one file."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Self

import duckdb
import msgspec

from steersman_catalog.checks import check
from steersman_catalog.rows import TABLES, Row
from steersman_catalog.term_scores import term_scores
from steersman_catalog.versions import SCHEMA_VERSION, load_catalog, schema

OLDEST_READER = "v1.1.0"
"""Version of DuckDB that can still read the file."""
BLOCK_BYTES = 65_536
"""Unit of the file: there are many small tables, and each takes whole blocks."""
CHUNK = 50_000
"""Rows turned into JSON at a time."""


def write_catalog(path: Path, meta: dict[str, str], rows: Iterable[Row]) -> None:
    """Write a whole catalogue in one step, replacing one that is there.

    Raises:
        ValueError: The rows contradict each other; see `checks`.
    """
    with CatalogWriter.create() as writer:
        writer.set_meta(**meta)
        writer.add(rows)
        writer.publish(path)


class CatalogWriter:
    """A catalogue that is being made, in a working file or in memory; for one thread at a time.

    Nothing has to be in order or whole until `publish`, which makes the file that is served.
    """

    def __init__(self, db: duckdb.DuckDBPyConnection) -> None:
        self.db = db
        """For reading what was written; use `add` and `remove` to change it."""
        self._name = db.execute("SELECT current_database()").fetchall()[0][0]
        self._encoder = msgspec.json.Encoder(enc_hook=lambda value: value.tolist())  # numpy's

    @classmethod
    def create(cls, path: Path | None = None) -> Self:
        """An empty one; without a path it is in memory.

        Raises:
            FileExistsError: The file exists.
        """
        if path is not None:
            if path.exists():
                raise FileExistsError(f"{path} exists: open it, or choose another name.")
            path.parent.mkdir(parents=True, exist_ok=True)
        db = duckdb.connect(path or ":memory:")
        db.execute(schema())
        db.execute("INSERT INTO meta VALUES ('schema_version', $version)", {"version": str(SCHEMA_VERSION)})
        return cls(db)

    @classmethod
    def open(cls, path: Path) -> Self:
        """One that was begun, or that is to be changed.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no catalogue, is open elsewhere, or is of an older version: migrate it.
        """
        db, meta = load_catalog(path)  # says what is wrong with it
        db.close()
        if meta["schema_version"] != str(SCHEMA_VERSION):
            raise ValueError(
                f"{path} has schema version {meta['schema_version']}: `steersman catalog migrate` brings it"
                f" to {SCHEMA_VERSION}."
            )
        try:
            return cls(duckdb.connect(path))
        except duckdb.Error as error:
            raise ValueError(f"{path} cannot be opened for writing: {error}") from error

    @classmethod
    def copy(cls, path: Path) -> Self:
        """In memory, what a file of any readable version holds; see `open` for what it raises."""
        db, meta = load_catalog(path)
        db.execute("USE memory")
        db.execute(schema())
        for row_type in TABLES:
            db.execute(f"INSERT INTO {row_type.table} BY NAME FROM catalog.{row_type.table}")
        writer = cls(db)
        writer.set_meta(**meta | {"schema_version": str(SCHEMA_VERSION)})
        db.execute("DETACH catalog")
        return writer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the working file."""
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that the block writes, or nothing."""
        self.db.begin()
        try:
            yield
        except BaseException:
            self.db.rollback()
            raise
        self.db.commit()

    def set_meta(self, **values: str) -> None:
        """Say what the catalogue is of."""
        for key, value in values.items():
            self.db.execute("INSERT OR REPLACE INTO meta VALUES ($key, $value)", {"key": key, "value": value})

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows, of one table or of several; numpy's numbers and arrays count as numbers and lists.

        Raises:
            duckdb.ConstraintException: A key is there already, or a value is missing.
        """
        stream = iter(rows)
        while chunk := list(islice(stream, CHUNK)):
            for row_type in dict.fromkeys(map(type, chunk)):
                self._insert(row_type, [row for row in chunk if type(row) is row_type])

    def remove(self, row_type: type[Row], **equal: Any) -> None:
        """Remove all rows of a table, or those with those values; None is NULL."""
        unknown = equal.keys() - set(row_type.__struct_fields__)
        assert not unknown, f"{row_type.table} has no {unknown}."
        where = " AND ".join(f"{name} IS NOT DISTINCT FROM ${name}" for name in equal)
        self.db.execute(f"DELETE FROM {row_type.table} WHERE {where or 'TRUE'}", equal)

    def publish(self, path: Path, *, without: Iterable[type[Row]] = ()) -> None:
        """Check everything and write it to `path` in one step, sorted and searchable.

        `without`: tables to leave empty there.

        Raises:
            ValueError: The rows contradict each other; see `checks`.
        """
        check(self.db)
        left_out = {row_type.table for row_type in without}
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        part.unlink(missing_ok=True)
        quoted = str(part).replace("'", "''")
        try:
            options = f"STORAGE_VERSION '{OLDEST_READER}', BLOCK_SIZE {BLOCK_BYTES}"
            self.db.execute(f"ATTACH '{quoted}' AS published ({options})")
            try:
                self.db.execute("USE published")
                self.db.execute(schema())
                self.db.execute(f"INSERT INTO meta FROM {self._name}.meta ORDER BY key")
                for row_type in TABLES:
                    if row_type.table not in left_out:
                        source, order = f"{self._name}.{row_type.table}", ", ".join(row_type.order)
                        self.db.execute(f"INSERT INTO {row_type.table} FROM {source} ORDER BY {order}")
                self.add(term_scores(self.db))
                self.db.execute("CHECKPOINT")
            finally:
                self.db.execute(f"USE {self._name}; DETACH published")
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def _insert(self, row_type: type[Row], rows: list[Row]) -> None:
        if not rows:
            return
        described = self.db.execute(f"DESCRIBE {row_type.table}").fetchall()
        columns = ", ".join(f"'{name}': '{kind}'" for name, kind, *_ in described)
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "rows.jsonl"
            with file.open("wb") as out:
                for row in rows:
                    out.write(self._encoder.encode(row) + b"\n")
            self.db.execute(
                f"INSERT INTO {row_type.table} BY NAME"
                f" FROM read_json($file, format = 'newline_delimited', columns = {{{columns}}})",
                {"file": str(file)},
            )
