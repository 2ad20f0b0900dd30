"""`steersman catalog info`: what a catalogue is of, and how much is in it."""

from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    """Which catalogue."""
    parser.add_argument("catalog", type=Path, metavar="FILE")


def run(args: Namespace) -> None:
    """Print it."""
    from rich.console import Console  # heavy, as all here: not for --help
    from rich.table import Table

    from steersman_catalog.rows import TABLES
    from steersman_catalog.versions import load_catalog

    db, meta = load_catalog(args.catalog)
    with db:
        table = Table(box=None, show_header=False)
        for key in sorted(meta):
            table.add_row(key, meta[key])
        table.add_row("size", f"{args.catalog.stat().st_size / 1e6:.1f} MB")
        for row_type in TABLES:
            ((count,),) = db.execute(f"SELECT count(*) FROM catalog.{row_type.table}").fetchall()
            if count:
                table.add_row(row_type.table, f"{count:,} rows")
        Console().print(table)
