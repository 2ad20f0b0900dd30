"""Where variants are kept: one SQLite file, every change of which is on the disk before it is answered."""

import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import msgspec

from steersman.types import Variant

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Variant).decode


class VariantExistsError(ValueError):
    """A variant of that name is there already."""

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a variant '{name}' already: replace it, or choose another name.")
        self.name = name


class NotKeptError(OSError):
    """The file of variants cannot be written; nothing was changed."""


class VariantStore:
    """Variants by name. Any thread may call any method."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._lock = threading.Lock()

    @classmethod
    def open(cls, path: Path | None) -> Self:
        """Open a file, made if need be; None keeps variants in memory only.

        Raises:
            OSError: The folder cannot be made.
            ValueError: The file is something else.
        """
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
        try:
            db = sqlite3.connect(
                path or ":memory:", check_same_thread=False, isolation_level=None, timeout=10
            )
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")  # an answered change survives a power cut
            db.execute("CREATE TABLE IF NOT EXISTS variants (name TEXT PRIMARY KEY, json BLOB NOT NULL)")
        except sqlite3.Error as error:
            raise ValueError(f"{path} cannot be opened as a file of variants: {error}.") from error
        return cls(db)

    def close(self) -> None:
        """Close the file; no method may be called after."""
        self._db.close()

    def find(self, name: str) -> Variant | None:
        """The variant of that name, if there is one."""
        with self._lock:
            row = self._db.execute("SELECT json FROM variants WHERE name = ?", [name]).fetchone()
        return None if row is None else _decode(row[0])

    def all(self) -> list[Variant]:
        """Every variant, by name."""
        with self._lock:
            rows = self._db.execute("SELECT json FROM variants ORDER BY name").fetchall()
        return [_decode(row[0]) for row in rows]

    def add(self, variants: Sequence[Variant], *, overwrite: bool) -> None:
        """Keep all of them, or none.

        Raises:
            VariantExistsError: One is there already, and `overwrite` is not set.
            NotKeptError: The disk is full, say.
        """
        verb = "INSERT OR REPLACE" if overwrite else "INSERT"
        with self._transaction():
            for variant in variants:
                try:
                    row = [variant.name, _encode(variant)]
                    self._db.execute(f"{verb} INTO variants (name, json) VALUES (?, ?)", row)
                except sqlite3.IntegrityError as error:
                    raise VariantExistsError(variant.name) from error

    def delete(self, name: str) -> bool:
        """Forget a variant; False if there was none.

        Raises:
            NotKeptError: The disk is full, say.
        """
        with self._transaction():
            return self._db.execute("DELETE FROM variants WHERE name = ?", [name]).rowcount > 0

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield
                self._db.execute("COMMIT")
            except BaseException as error:
                if self._db.in_transaction:  # on a full disk SQLite may have rolled back by itself
                    self._db.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    raise NotKeptError(f"The file of variants cannot be written: {error}.") from error
                raise


def now() -> int:
    """Unix time, in seconds."""
    return int(time.time())
