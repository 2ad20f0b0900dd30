"""`steersman bundle`: put an SAE and its catalogue into one folder that a server can load."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from steersman.cli import Command

EPILOG = """\
examples:
  steersman bundle --name my-sae --run runs/sae --catalog runs/catalog.duckdb --out my-sae
  steersman serve --model smollm2-135m-instruct --bundle my-sae
"""


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--name", required=True, help="what receipts call it")
    parser.add_argument(
        "--run", type=Path, required=True, metavar="DIR", help="folder that `steersman train` filled"
    )
    parser.add_argument(
        "--metrics",
        type=Path,
        metavar="FILE",
        help="what `steersman evaluate` wrote (default: metrics.json in the run's folder)",
    )
    parser.add_argument(
        "--catalog", type=Path, required=True, metavar="FILE", help="what `steersman label` or `catalog build` wrote"
    )
    parser.add_argument("--licence", default="Not stated.", help="of the bundle, a sentence for its card")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")


def _run(args: Namespace) -> None:
    from steersman_training.make_bundle import make_bundle  # heavy: not for --help

    metrics = args.metrics or args.run / "metrics.json"
    made = make_bundle(args.run, metrics, args.catalog, args.out, name=args.name, licence=args.licence)
    print(f"{made.id} is in {args.out}; its README.md is the card.")


command = Command(
    summary="put an SAE and its catalogue into a bundle that can be served",
    add_arguments=_add_arguments,
    run=_run,
    epilog=EPILOG,
)
