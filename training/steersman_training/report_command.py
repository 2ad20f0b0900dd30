"""`steersman report`: one page that shows how runs went, side by side."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from steersman.cli import Command


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "runs", type=Path, nargs="+", metavar="RUN", help="folder that `steersman train` filled"
    )
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="where report.html goes (default: the run, or .)"
    )


def _run(args: Namespace) -> None:
    from steersman_training.report import write_report  # heavy: not for --help

    out = args.out or (args.runs[0] if len(args.runs) == 1 else Path())
    out.mkdir(parents=True, exist_ok=True)
    print(write_report(args.runs, out))


command = Command(
    summary="show how training runs went, side by side, in one HTML file",
    add_arguments=_add_arguments,
    run=_run,
    epilog="""\
examples:
  steersman report runs/sae
  steersman report runs/sweep/*
What `steersman evaluate --out RUN/metrics.json` measured is shown too.
""",
)
