"""`steersman catalog migrate`: bring a catalogue of an older version to this one's.

An older catalogue can be read as it is; migrating it makes that faster, and lets it be changed.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    """What to read, and where to write."""
    parser.add_argument("catalog", type=Path, metavar="FILE")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="the catalogue to write (default: replace the one that is read)",
    )


def run(args: Namespace) -> None:
    """Write the catalogue."""
    from steersman_catalog.versions import SCHEMA_VERSION  # heavy, as all here: not for --help
    from steersman_catalog.writer import CatalogWriter

    out = args.out or args.catalog
    with CatalogWriter.copy(args.catalog) as writer:
        writer.publish(out)
    print(f"{out} has schema version {SCHEMA_VERSION} ({out.stat().st_size / 1e6:.1f} MB).")
