"""`steersman bundle`: put an SAE and its catalogue into one folder that a server can load."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from steersman.cli import Command

EPILOG = """\
examples:
  steersman bundle --name my-sae --run runs/sae --catalog runs/label/catalog.duckdb --out my-sae
  steersman bundle --relabel my-sae --catalog runs/label/catalog.duckdb --out my-sae-2
  steersman serve --model smollm2-135m-instruct --bundle my-sae
"""


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--name", help="what receipts call it")
    sae = parser.add_mutually_exclusive_group(required=True)
    sae.add_argument("--run", type=Path, metavar="DIR", help="folder that `steersman train` filled")
    sae.add_argument(
        "--relabel",
        metavar="BUNDLE",
        help="keep a bundle's SAE, name and metrics, and change its catalogue",
    )
    parser.add_argument(
        "--metrics",
        type=Path,
        metavar="FILE",
        help="what `steersman evaluate` wrote (default: metrics.json in the run's folder)",
    )
    parser.add_argument(
        "--catalog", type=Path, required=True, metavar="FILE", help="catalog.duckdb of a labelling job"
    )
    parser.add_argument(
        "--summary",
        type=Path,
        metavar="FILE",
        help="what the job says of its labels, for the card (default: summary.json beside the catalogue)",
    )
    parser.add_argument("--licence", default="Not stated.", help="of the bundle, a sentence for its card")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder to make")


def _run(args: Namespace) -> None:
    from steersman_engine.bundle import Bundle  # heavy, as the next: not for --help
    from steersman_training.make_bundle import make_bundle, relabel

    beside = args.catalog.with_name("summary.json")
    summary = args.summary or (beside if beside.is_file() else None)
    if args.relabel is not None:
        if args.name or args.metrics:
            raise ValueError("--relabel keeps the bundle's name and metrics: leave --name and --metrics out.")
        made = relabel(Bundle.named(args.relabel), args.catalog, args.out, summary=summary)
    else:
        if not args.name:
            raise ValueError("A new bundle needs a name: pass --name.")
        made = make_bundle(
            args.run,
            args.metrics or args.run / "metrics.json",
            args.catalog,
            args.out,
            name=args.name,
            licence=args.licence,
            summary=summary,
        )
    print(f"{made.id} is in {args.out}; its README.md is the card.")


command = Command(
    summary="put an SAE and its catalogue into a bundle that can be served",
    add_arguments=_add_arguments,
    run=_run,
    epilog=EPILOG,
)
