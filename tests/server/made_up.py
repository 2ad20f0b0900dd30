"""Requests that schemathesis makes up, how many, and what became of them.

By default a few each, always the same; `STEERSMAN_SCHEMA_CASES=50` makes fifty of each kind, others every
time, and says at the end how they were answered.
"""

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode

ASKED = os.environ.get("STEERSMAN_SCHEMA_CASES")
CASES = int(ASKED or "2")
UNHURRIED = settings(
    max_examples=CASES,
    deadline=None,
    derandomize=ASKED is None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
)
NOTHING_TO_SAY = ("Unsatisfiable", "InvalidSchema")
"""What is raised where there is nothing to send: nothing wrong can be said to some operations."""

ANSWERS: Counter[tuple[str, int]] = Counter()
"""How often each status was the answer, by whose description the request was made from."""


def make_up(operation: Any, mode: GenerationMode, check: Callable[[Any], Any]) -> None:
    """Call `check` with cases of an operation: right ones or wrong ones, as `mode` says."""

    @UNHURRIED
    @given(case=operation.as_strategy(generation_mode=mode))
    def run(case: Any) -> None:
        check(case)

    try:
        run()
    except Exception as error:
        if type(error).__name__ not in NOTHING_TO_SAY:
            raise


def answers_table() -> str:
    """What became of the cases of this run, in Markdown."""
    statuses = sorted({status for _, status in ANSWERS})
    lines = [
        "| made from | " + " | ".join(map(str, statuses)) + " | all |",
        "|---|" + "---|" * (len(statuses) + 1),
    ]
    for whose in sorted({whose for whose, _ in ANSWERS}):
        counts = [ANSWERS[whose, status] for status in statuses]
        lines.append(f"| {whose} | " + " | ".join(map(str, [*counts, sum(counts)])) + " |")
    return "\n".join(lines)
