"""What a soak must have shown, and whether it did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.facts import Table
from tests.soak.soak import FAULTY, POOL_THREADS

MEMORY_GROWTH = 0.05
"""By so much of its early median may the memory of late rounds differ: what an allocator keeps varies."""
EXPECTED = ("answered", "refused", "left", "failed by injection")
"""What may come of a request, beside what is FAULTY."""
NONE = (
    *FAULTY,
    "answered otherwise at the end",
    "torn records in the audit log",
    "variants lost",
    "other faults of variants",
    "leaked slots",
    "unexplained errors in the log",
)
"""What there must be nothing of."""
FEW = {"threads gained": POOL_THREADS, "files gained": 2}
"""What may differ a little; files because a connection may be closing."""
SOME = (
    "failed by injection",
    "told to come back",
    "asked again after kill -9",
    "variants changed",
    "variants refused on a full disk",
    "audit records lost on a full disk, and counted",
)
"""What shows that a fault reached somebody."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One figure, and what it must be."""

    name: str
    value: float
    limit: str
    holds: bool


def findings(found: Mapping[str, Any]) -> list[Finding]:
    """Every figure that is judged."""
    growth, early = found["memory gained, MiB"], found["early memory, MiB"]
    code = found["exit code on SIGTERM"]
    return [
        *(Finding(name, found[name], "0", found[name] == 0) for name in NONE),
        *(Finding(name, found[name], f"≤ {most}", found[name] <= most) for name, most in FEW.items()),
        Finding("exit code on SIGTERM", code, "0", code == 0),
        Finding("memory gained, MiB", growth, f"≤ {MEMORY_GROWTH:.0%}", growth <= MEMORY_GROWTH * early),
        *(Finding(name, found[name], "> 0", found[name] > 0) for name in SOME),
    ]


def failures(found: Mapping[str, Any]) -> list[str]:
    """What does not hold, a line each."""
    return [f"{each.name}: {each.value}, not {each.limit}" for each in findings(found) if not each.holds]


def tables(found: Mapping[str, Any]) -> dict[str, Table]:
    """The tables of docs/reliability.md."""
    rows = [
        [each.name, f"{each.value:,}", each.limit, "yes" if each.holds else "**no**"]
        for each in findings(found)
    ]
    note = (
        f"{found['requests']:,} requests of {found['kinds']} kinds in {found['seconds'] / 60:.1f} minutes and"
        f" {len(found['rounds'])} rounds, {found['rounds'][0]['clients']} clients at once; ready"
        f" {found['start_s']} s after the start; a full disk was a {found['disk']}."
    )
    return {
        "findings": Table(["figure", "value", "must be", "holds"], rows, note),
        "outcomes": _outcomes(found["outcomes"]),
        "rounds": Table(["round", "requests", "seconds", "memory, MiB", "threads", "files"], _rounds(found)),
    }


def _outcomes(outcomes: Sequence[tuple[str, str, int]]) -> Table:
    """A row for each kind of request, a column for each outcome that there was."""
    kinds, seen = dict.fromkeys(kind for kind, _, _ in outcomes), {outcome for _, outcome, _ in outcomes}
    columns = [outcome for outcome in (*EXPECTED, *FAULTY) if outcome in seen]
    counts = {(kind, outcome): f"{count:,}" for kind, outcome, count in outcomes}
    rows = [[kind, *(counts.get((kind, outcome), "–") for outcome in columns)] for kind in kinds]
    return Table(["kind of request", *columns], rows)


def _rounds(found: Mapping[str, Any]) -> list[list[str]]:
    """First, quarters and last, of what may be many."""
    rounds = found["rounds"]
    shown = sorted({round((len(rounds) - 1) * part / 8) for part in range(9)})
    return [
        [
            str(number + 1),
            str(rounds[number]["requests"]),
            f"{rounds[number]['seconds']:.0f}",
            f"{rounds[number]['rss_mib']:,.0f}",
            str(rounds[number]["threads"]),
            str(rounds[number]["files"]),
        ]
        for number in shown
    ]
