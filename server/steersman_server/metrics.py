"""What a monitor sees: requests of the server, and what the engine counts, in Prometheus' text format."""

from collections.abc import Iterable

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from steersman_engine import stats
from steersman_engine.engine import Engine

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
GAUGES = {
    "slots": "Requests that the engine can work on at once.",
    "slots_used": "Requests that the engine works on.",
    "queue_length": "Requests that wait for a slot.",
    "jobs_waiting": "Attributions and inspections under way or waiting.",
}
COUNTERS = {
    "prompt_tokens": "Prompt tokens of the requests begun.",
    "reused_tokens": "Of these, the ones that were not computed again.",
    "half_reused_tokens": "Of the prompt tokens, the ones that only the blocks above the tap computed again.",
    "generated_tokens": "Tokens generated.",
    "steps": "Steps of the engine.",
    "faults": "Steps that failed.",
}
HISTOGRAMS = {
    "step_seconds": "Time of a step of the engine.",
    "queue_seconds": "From a request's arrival at the engine to its slot.",
    "first_token_seconds": "From a request's arrival at the engine to its first token.",
    "inter_token_seconds": "From a token of an answer to its next.",
}


class Metrics:
    """The counters of one server."""

    def __init__(self, engine: Engine, model: str, bundle: str, version: str) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "steersman_http_requests", "Answers given.", ["path", "method", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "steersman_http_request_seconds",
            "From a request's arrival to the first byte of its answer.",
            ["path"],
            registry=self._registry,
            buckets=SECONDS,
        )
        self._errors = Counter(
            "steersman_errors",
            "Requests that failed, by the code of docs/errors.md.",
            ["code"],
            registry=self._registry,
        )
        records = Counter(
            "steersman_audit_records", "Records of the audit log.", ["outcome"], registry=self._registry
        )
        self.audit_written, self.audit_lost = records.labels("written"), records.labels("lost")
        self._info = Gauge(
            "steersman_info", "What is served.", ["model", "bundle", "version"], registry=self._registry
        )
        self._model, self._version = model, version
        self.serves(bundle)
        self._registry.register(EngineCollector(engine))
        ProcessCollector(registry=self._registry)

    def failed(self, code: str) -> None:
        """One more request failed."""
        self._errors.labels(code).inc()

    def serves(self, bundle: str) -> None:
        """From now on it is this bundle."""
        self._info.clear()
        self._info.labels(self._model, bundle, self._version).set(1)

    def render(self) -> bytes:
        """All of it, as of now."""
        return generate_latest(self._registry)


class EngineCollector(Collector):
    """The engine's own counts, read when they are asked for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing: so that registering it asks the engine nothing."""
        return []

    def collect(self) -> Iterable[GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily]:
        """One family for each number."""
        now = self._engine.stats()
        for name, text in GAUGES.items():
            yield GaugeMetricFamily(f"steersman_{name}", text, value=getattr(now, name))
        for name, text in COUNTERS.items():
            yield CounterMetricFamily(f"steersman_{name}", text, value=getattr(now, f"{name}_total"))
        ended = CounterMetricFamily("steersman_answers", "Answers by how they ended.", labels=["finish"])
        for finish, count in now.requests_total.items():
            ended.add_metric([finish], count)
        yield ended
        for name, text in HISTOGRAMS.items():
            family = HistogramMetricFamily(f"steersman_{name}", text, labels=[])
            family.add_metric([], _buckets(getattr(now, name)), getattr(now, name).sum)
            yield family
        jobs = HistogramMetricFamily(
            "steersman_job_seconds",
            "From the arrival of an attribution, inspection, ... at the engine to its result.",
            labels=["job"],
        )
        for job, took in now.job_seconds.items():
            jobs.add_metric([job], _buckets(took), took.sum)
        yield jobs


def _buckets(counted: stats.Histogram) -> list[tuple[str, float]]:
    buckets, total = [], 0
    for bound, count in zip((*map(str, stats.SECONDS), "+Inf"), counted.counts, strict=True):
        total += count
        buckets.append((bound, total))
    return buckets
