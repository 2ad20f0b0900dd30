"""What an engine counts, for a monitor. Times are in seconds."""

from bisect import bisect_left
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Self

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of a histogram's buckets; one more holds what is longer."""

JOBS = ("attribution", "inspection", "logits", "scoring")


@dataclass(slots=True)
class Histogram:
    """How often a time fell into each bucket, as Prometheus counts."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    """One for each of SECONDS, then the rest; not cumulative."""
    sum: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one more."""
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.sum += seconds

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(self.counts)


@dataclass(slots=True)
class EngineStats:
    """Gauges are as of now; what is called total only grows."""

    slots: int = 0
    slots_used: int = 0
    queue_length: int = 0
    """Requests that wait for a slot."""
    jobs_waiting: int = 0
    """Attributions and inspections under way or waiting."""
    prompt_tokens_total: int = 0
    """Of the requests begun, whether computed or reused."""
    reused_tokens_total: int = 0
    """Prompt tokens that no block computed again."""
    half_reused_tokens_total: int = 0
    """Prompt tokens that only the blocks above the tap computed again."""
    generated_tokens_total: int = 0
    steps_total: int = 0
    faults_total: int = 0
    """Steps that raised."""
    requests_total: Counter[str] = field(default_factory=Counter)
    """Requests by how they ended: `Finish`, `cancelled`, `error` or `refused`."""
    step_seconds: Histogram = field(default_factory=Histogram)
    first_token_seconds: Histogram = field(default_factory=Histogram)
    """From a request's arrival to its first token."""
    inter_token_seconds: Histogram = field(default_factory=Histogram)
    """From a token of an answer to its next."""
    queue_seconds: Histogram = field(default_factory=Histogram)
    """From a request's arrival to its slot."""
    job_seconds: dict[str, Histogram] = field(default_factory=lambda: {job: Histogram() for job in JOBS})
    """Of JOBS that were carried out, waiting included."""

    def copy(self) -> Self:
        """What it says now, whatever is counted later."""
        return deepcopy(self)
