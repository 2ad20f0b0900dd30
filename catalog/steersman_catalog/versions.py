"""Schema versions: what each looks like, and how an older catalogue becomes a current one.

`schema/N.sql` is the whole schema of version N; `schema/N_to_M.sql` fills an empty catalogue of version M
from one of version N, attached as `old`.
"""

import re
from importlib.resources import files
from pathlib import Path

import duckdb

SCHEMA_VERSION = 2
OLDEST_VERSION = 1


class SchemaVersionError(ValueError):
    """A catalogue is of a version that this steersman cannot read."""


def schema(version: int = SCHEMA_VERSION) -> str:
    """The SQL that makes an empty catalogue."""
    return _sql(f"{version}.sql")


def connect(path: Path, *, read_only: bool = True) -> tuple[duckdb.DuckDBPyConnection, dict[str, str]]:
    """The file as it is, and its table `meta`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no catalogue, or cannot be opened.
        SchemaVersionError: It is one, of a version that cannot be read.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: `steersman catalog build` makes a catalogue.")
    try:
        db = duckdb.connect(path, read_only=read_only)
    except duckdb.Error as error:
        raise ValueError(f"{path} is not a DuckDB file that can be opened: {error}") from error
    try:
        return db, _meta(db, path)
    except ValueError:
        db.close()
        raise


def upgrade(path: Path, version: int) -> duckdb.DuckDBPyConnection:
    """A catalogue in memory with what the file of an older `version` holds; the file is not touched."""
    db = duckdb.connect()
    quoted = str(path).replace("'", "''")
    db.execute(f"ATTACH '{quoted}' AS old (READ_ONLY)")
    name = "old"
    for newer in range(version + 1, SCHEMA_VERSION + 1):
        before, name = name, "memory" if newer == SCHEMA_VERSION else f"version_{newer}"
        if name != "memory":
            db.execute(f"ATTACH ':memory:' AS {name}")
        db.execute(f"USE {name}")
        db.execute(schema(newer))
        db.execute(re.sub(r"\bold\.", f"{before}.", _sql(f"{newer - 1}_to_{newer}.sql")))
        db.execute("INSERT INTO meta VALUES ('schema_version', $version)", {"version": str(newer)})
        db.execute(f"DETACH {before}")
    return db


def _meta(db: duckdb.DuckDBPyConnection, path: Path) -> dict[str, str]:
    try:
        meta = dict(db.execute("SELECT key, value FROM meta").fetchall())
    except duckdb.Error as error:
        raise ValueError(f"{path} is a DuckDB file, but no catalogue: it has no table `meta`.") from error
    found = meta.get("schema_version", "none")
    if found not in map(str, range(OLDEST_VERSION, SCHEMA_VERSION + 1)):
        raise SchemaVersionError(
            f"{path} has schema version {found}, and this steersman reads {OLDEST_VERSION} to"
            f" {SCHEMA_VERSION}: install the version that wrote it ({meta.get('version', 'unknown')}) or a newer one."
        )
    return meta


def _sql(name: str) -> str:
    return files("steersman_catalog").joinpath("schema", name).read_text(encoding="utf-8")
