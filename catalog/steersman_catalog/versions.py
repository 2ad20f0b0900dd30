"""Schema versions: what each looks like, and how an older catalogue becomes a current one.

`schema/N.sql` is the whole schema of version N; `schema/N_to_M.sql` fills an empty catalogue of version M
from one of version N, attached as `old`.
"""

import re
from functools import cache
from importlib.resources import files
from pathlib import Path

import duckdb

SCHEMA_VERSION = 3
OLDEST_VERSION = 1


NO_EXTENSIONS: dict[str, str | bool | int | float | list[str]] = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "temp_directory": "",  # no query here needs one
}
TABLES = """
SELECT count(*) FROM duckdb_tables()
WHERE database_name = $name AND schema_name = 'main' AND table_name = 'meta'
"""
MAX_META = 1000
COLUMNS = """
SELECT columns.table_name, column_name, data_type
FROM duckdb_columns() AS columns JOIN duckdb_tables() AS tables USING (database_oid, table_oid)
WHERE columns.database_name = $name
"""


class SchemaVersionError(ValueError):
    """A catalogue is of a version that this steersman cannot read."""


def schema(version: int = SCHEMA_VERSION) -> str:
    """The SQL that makes an empty catalogue."""
    return _sql(f"{version}.sql")


def load_catalog(path: Path, *, locked: bool = False) -> tuple[duckdb.DuckDBPyConnection, dict[str, str]]:
    """A database that holds a catalogue of the current version as `catalog`, and the `meta` of the file.

    An older file is upgraded in memory, and not touched. Nothing that a stranger put into it runs: only
    tables are read, no view, and no extension is loaded. `locked`: what is asked of the database later can
    reach no other file either.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no catalogue, or cannot be opened.
        SchemaVersionError: It is one, of a version that cannot be read.
    """
    # attached, not connected to: DuckDB would give an open file of that name again
    db = duckdb.connect(config=NO_EXTENSIONS)
    try:
        _attach(db, path, "catalog")
        if locked:
            db.execute("SET enable_external_access = false; SET lock_configuration = true")
        meta = _meta(db, "catalog", path)
        version = int(meta["schema_version"])
        _check_shape(db, "catalog", version, path)
        if version < SCHEMA_VERSION:
            db.execute("DETACH catalog")
            _upgrade(db, path, version)
    except duckdb.Error as error:
        db.close()
        raise ValueError(f"{path} is damaged: {error}") from error
    except BaseException:
        db.close()
        raise
    return db, meta


def _upgrade(db: duckdb.DuckDBPyConnection, path: Path, version: int) -> None:
    """Attach in memory, as `catalog`, what the file of an older `version` holds; the file is not touched."""
    before = f"version_{version}"
    _attach(db, path, before)
    for newer in range(version + 1, SCHEMA_VERSION + 1):
        name = "catalog" if newer == SCHEMA_VERSION else f"version_{newer}"
        db.execute(f"ATTACH ':memory:' AS {name}; USE {name}")
        db.execute(schema(newer))
        db.execute(re.sub(r"\bold\.", f"{before}.", _sql(f"{newer - 1}_to_{newer}.sql")))
        db.execute("INSERT INTO meta VALUES ('schema_version', $version)", {"version": str(newer)})
        db.execute(f"DETACH {before}")
        before = name


def _attach(db: duckdb.DuckDBPyConnection, path: Path, name: str) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: `steersman label` makes a catalogue.")
    quoted = str(path).replace("'", "''")
    try:
        db.execute(f"ATTACH '{quoted}' AS {name} (READ_ONLY)")
    except duckdb.Error as error:
        raise ValueError(f"{path} is not a DuckDB file that can be opened: {error}") from error


def _meta(db: duckdb.DuckDBPyConnection, name: str, path: Path) -> dict[str, str]:
    (is_there,) = db.execute(TABLES, {"name": name}).fetchall()[0]
    if not is_there:  # a view of that name is not read
        raise ValueError(f"{path} is a DuckDB file, but no catalogue: it has no table `meta`.")
    try:
        meta = dict(db.execute(f"SELECT key, value FROM {name}.main.meta LIMIT {MAX_META}").fetchall())
    except duckdb.Error as error:
        raise ValueError(f"{path} is no catalogue: its table `meta` cannot be read: {error}") from error
    found = meta.get("schema_version", "none")
    if found not in map(str, range(OLDEST_VERSION, SCHEMA_VERSION + 1)):
        raise SchemaVersionError(
            f"{path} has schema version {found}, and this steersman reads {OLDEST_VERSION} to"
            f" {SCHEMA_VERSION}: install the version that wrote it ({meta.get('version', 'unknown')}),"
            " or a newer one."
        )
    return meta


def _check_shape(db: duckdb.DuckDBPyConnection, name: str, version: int, path: Path) -> None:
    """See that every table is one, with the columns and types of its version."""
    missing = _columns(version) - set(db.execute(COLUMNS, {"name": name}).fetchall())
    if missing:
        table, column, kind = min(missing)
        raise ValueError(
            f"{path} says it is a catalogue of version {version}, but has no table {table} with a column"
            f" {column} of type {kind}."
        )


@cache
def _columns(version: int) -> set[tuple[str, str, str]]:
    with duckdb.connect() as empty:
        empty.execute(schema(version))
        return set(empty.execute(COLUMNS, {"name": "memory"}).fetchall())


def _sql(name: str) -> str:
    return files("steersman_catalog").joinpath("schema", name).read_text(encoding="utf-8")
