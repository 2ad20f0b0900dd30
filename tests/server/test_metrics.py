"""What a monitor sees, and what is written of it."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from litestar.testing import TestClient
from prometheus_client.parser import text_string_to_metric_families

from steersman_engine.engine import EngineError
from steersman_server.app import create_app
from steersman_server.config import ServerConfig

DOCS = Path(__file__).parents[2] / "docs"
BODY = {"messages": [{"role": "user", "content": "Hi"}]}
Read = Callable[..., float]


@pytest.fixture
def read(http) -> Read:
    """The value of one sample, 0 if there is none."""

    def read(name: str, **labels: str) -> float:
        for family in text_string_to_metric_families(http.get("/metrics").text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return sample.value
        return 0.0

    return read


def exported(http) -> dict[str, str]:
    """The kinds of what is exported, by name."""
    text = http.get("/metrics").text
    return dict(re.findall(r"^# TYPE (\S+)(?<!_created) (\S+)$", text, re.MULTILINE))


@pytest.mark.parametrize(
    ("code", "path", "body"),
    [
        ("model_not_found", "/v1/chat/completions", BODY | {"model": "other"}),
        ("invalid_json", "/v1/chat/completions", None),
        ("unknown_url", "/no/such/path", BODY),
    ],
)
def test_errors_are_counted_by_their_code(http, read, code, path, body):
    before = read("steersman_errors_total", code=code)
    http.post(path, json=body)
    assert read("steersman_errors_total", code=code) == before + 1


def test_unknown_paths_are_counted_as_one(http, read):
    before = read("steersman_http_requests_total", path="unknown")
    for path in ("/no/such/path", "/nor/this"):
        http.get(path)
    assert read("steersman_http_requests_total", path="unknown") == before + 2


def test_an_error_after_the_beginning_of_a_stream_is_counted(http, engine, read):
    before = read("steersman_errors_total", code="internal_error")
    engine.says("Hello", EngineError("broken"))
    http.post("/v1/chat/completions", json=BODY | {"stream": True})
    assert read("steersman_errors_total", code="internal_error") == before + 1


def test_time_between_tokens_and_in_the_queue_is_measured(really_served):
    with TestClient(create_app(really_served, ServerConfig()), base_url="http://127.0.0.1") as http:
        more = {"ignore_eos": True, "max_tokens": 5}
        for _ in range(2):
            assert http.post("/v1/chat/completions", json=BODY | more).status_code == 200
        http.post("/v1/features/inspect", json=BODY)
        counts = {
            (s.name, s.labels.get("job")): s.value
            for family in text_string_to_metric_families(http.get("/metrics").text)
            for s in family.samples
        }
    assert counts["steersman_inter_token_seconds_count", None] == 8
    assert (
        counts["steersman_queue_seconds_count", None]
        == counts["steersman_first_token_seconds_count", None]
        == 2
    )
    assert counts["steersman_job_seconds_count", "inspection"] == 1
    assert counts["steersman_job_seconds_count", "attribution"] == 0


def test_every_metric_is_documented_as_it_describes_itself(http):
    section = (DOCS / "operations.md").read_text().split("\n## Metrics\n")[1].split("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \| (\w+) \| .*? ?\| (.*) \|$", section, re.MULTILINE)
    helps = dict(re.findall(r"^# HELP (\S+) (.*)$", http.get("/metrics").text, re.MULTILINE))
    assert documented == [(name, kind, helps[name]) for name, kind in exported(http).items()]


def test_the_dashboard_asks_for_metrics_that_are_there(http):
    kinds = exported(http)
    samples = {
        f"{name}{suffix}"
        for name, kind in kinds.items()
        for suffix in (("_bucket", "_sum", "_count") if kind == "histogram" else ("",))
    }
    panels = json.loads((DOCS / "grafana.json").read_text())["panels"]
    asked = [target["expr"] for panel in panels for target in panel.get("targets", [])]
    named = set(re.findall(r"\b(?:steersman|process)_\w+", " ".join(asked)))
    assert named <= samples and len(named) > 15
