"""`steersman catalog export`: write all tables as Parquet, or Neuronpedia's bulk files."""

from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    """What to write, and where."""
    parser.add_argument("catalog", type=Path, metavar="FILE")
    parser.add_argument("--format", choices=("parquet", "neuronpedia"), required=True)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder that does not exist")
    ids = parser.add_argument_group("Neuronpedia's ids")
    ids.add_argument("--model-id", default="", metavar="ID", help="default: the catalogue's model")
    ids.add_argument("--source-id", default="", metavar="ID", help="default: LAYER-steersman")


def run(args: Namespace) -> None:
    """Write the folder."""
    from steersman_catalog.neuronpedia_export import export_neuronpedia  # heavy, as all here: not for --help
    from steersman_catalog.parquet import export_parquet

    if args.format == "parquet":
        export_parquet(args.catalog, args.out)
    else:
        export_neuronpedia(args.catalog, args.out, model=args.model_id, source=args.source_id)
    files = [path for path in args.out.rglob("*") if path.is_file()]
    print(f"{len(files)} files are in {args.out} ({sum(f.stat().st_size for f in files) / 1e6:.1f} MB).")
