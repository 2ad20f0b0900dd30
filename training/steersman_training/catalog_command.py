"""`steersman catalog`: ask a catalogue of features, and carry it elsewhere."""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter

from steersman.cli import Command
from steersman_training import (
    catalog_export,
    catalog_import,
    catalog_info,
    catalog_migrate,
    catalog_search,
)

EPILOG = """\
examples:
  steersman catalog info runs/catalog.duckdb
  steersman catalog search runs/catalog.duckdb "polite refusals" --mode hybrid
  steersman catalog export runs/catalog.duckdb --format neuronpedia --out runs/neuronpedia
  duckdb -readonly runs/catalog.duckdb "SELECT feature, label FROM shown_features LIMIT 20"

`steersman label` makes a catalogue."""

PARTS = {
    "info": (catalog_info, "what a catalogue is of, and how much is in it"),
    "search": (catalog_search, "find features by words or by meaning"),
    "export": (catalog_export, "write all tables as Parquet, or Neuronpedia's bulk files"),
    "import": (catalog_import, "make a catalogue from Neuronpedia's bulk files"),
    "migrate": (catalog_migrate, "bring a catalogue of an older version to this one's"),
}


def _add_arguments(parser: ArgumentParser) -> None:
    parts = parser.add_subparsers(dest="part", metavar="WHAT", required=True)
    for name, (module, summary) in PARTS.items():
        part = parts.add_parser(
            name, help=summary, description=module.__doc__, formatter_class=RawDescriptionHelpFormatter
        )
        module.add_arguments(part)


def _run(args: Namespace) -> None:
    PARTS[args.part][0].run(args)


command = Command(
    summary="ask a catalogue of features, and carry it elsewhere",
    add_arguments=_add_arguments,
    run=_run,
    epilog=EPILOG,
)
