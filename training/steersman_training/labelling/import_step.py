"""What `steersman label import` does: read answers that came as a file."""

from collections.abc import Sequence
from pathlib import Path

from steersman_training.labelling.ledger import Ledger
from steersman_training.labelling.ledger_rows import LEDGER_FILE
from steersman_training.labelling.transports.files import Imported, import_answers

SHOWN = 3
"""Ids given as examples."""


def import_file(folder: Path, path: Path) -> Imported:
    """Read `path` into the ledger of the job in `folder`, and say what became of each line.

    Raises:
        FileNotFoundError: There is no such file, or the job has no ledger.
    """
    for needed in (path, folder / LEDGER_FILE):
        if not needed.is_file():
            raise FileNotFoundError(f"There is no {needed}.")
    with Ledger(folder / LEDGER_FILE, max_usd=0.0) as ledger:
        report = import_answers(path, ledger)
    print("\n".join(report_lines(report)))
    return report


def report_lines(report: Imported) -> list[str]:
    """For people; what did not occur is left out."""
    failures = ", ".join(f"{count} {kind}" for kind, count in report.failures.items())
    lines = [f"{report.recorded:,} answers recorded" + (f", of them {failures}" if failures else "") + "."]
    unreadable = [f"line {number}: {why}" for number, why in report.unreadable.items()]
    for what, which in (
        ("were answered before; the first answer stands", report.known),
        ("belong to no exported request", report.unknown),
        ("are no answers but errors, and stay open", list(report.unanswered)),
        ("cannot be read", unreadable),
        ("are still without an answer; `steersman label resume` exports them again", report.missing),
    ):
        if which:
            lines.append(f"{len(which):,} {what}: {_some(which)}")
    return lines


def _some(which: Sequence[str]) -> str:
    return ", ".join(which[:SHOWN]) + (", ..." if len(which) > SHOWN else "")
