"""`steersman catalog import`: make a catalogue from Neuronpedia's bulk files.

The folder is that of one source, with `features/`, `explanations/` and `activations/`.
"""

from argparse import ArgumentParser, Namespace
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    """What to read."""
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the catalogue to write")
    parser.add_argument(
        "--d-sae", type=int, metavar="N", help="features of the SAE (default: as many as the folder has)"
    )


def run(args: Namespace) -> None:
    """Write the catalogue."""
    from steersman_catalog.neuronpedia_import import import_neuronpedia  # heavy: not for --help

    count = import_neuronpedia(args.folder, args.out, d_sae=args.d_sae)
    print(f"{count:,} features are in {args.out} ({args.out.stat().st_size / 1e6:.1f} MB).")
