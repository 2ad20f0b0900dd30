"""A catalogue's tables as Parquet files."""

from pathlib import Path

from steersman_catalog.rows import TABLES
from steersman_catalog.versions import load_catalog


def export_parquet(path: Path, folder: Path) -> list[Path]:
    """Write `<table>.parquet` for every table that is not empty, compressed, and give the files.

    Raises:
        FileExistsError: `folder` exists.
        ValueError: `path` is no catalogue that can be read.
    """
    if folder.exists():
        raise FileExistsError(f"{folder} exists: remove it, or choose another folder.")
    db, _ = load_catalog(path)
    folder.mkdir(parents=True)
    written = []
    with db:
        for table in ("meta", "terms", *(row_type.table for row_type in TABLES)):
            if db.execute(f"SELECT count(*) FROM catalog.{table}").fetchall()[0][0]:
                file = folder / f"{table}.parquet"
                quoted = str(file).replace("'", "''")
                db.execute(f"COPY catalog.{table} TO '{quoted}' (FORMAT parquet, COMPRESSION zstd)")
                written.append(file)
    return written
