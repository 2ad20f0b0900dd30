"""Spans of requests."""

import re
import sys
from collections.abc import Callable, Iterator

import pytest
from litestar.testing import TestClient
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from steersman_engine.engine import EngineError
from steersman_server import spans
from steersman_server.app import create_app
from steersman_server.checks import Checks
from steersman_server.command import read_config
from steersman_server.config import ServerConfig

BODY = {"messages": [{"role": "user", "content": "Xylophone"}], "max_tokens": 5, "ignore_eos": True}
CALLER = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
Trace = Callable[..., list[ReadableSpan]]


@pytest.fixture
def trace(really_served, served, monkeypatch) -> Trace:
    """Sends a request to a server of its own; gives the spans of it, the first begun first."""

    def send(
        path: str, body: dict, *, method: str = "POST", fake: bool = False, **headers: str
    ) -> list[ReadableSpan]:
        exporter = InMemorySpanExporter()
        monkeypatch.setattr(spans, "OTLPSpanExporter", lambda: exporter)
        app = create_app(served if fake else really_served, ServerConfig(tracing=True))
        with TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False) as http:
            http.request(method, path, json=body, headers=headers)
        return sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)

    return send


def test_the_parts_of_a_request_lie_in_it_one_after_the_other(trace: Trace):
    whole, queue, prefill, decode, why = trace(
        "/v1/chat/completions", BODY | {"attribution": {"tokens": [0]}}
    )
    assert whole.name == "POST /v1/chat/completions"
    parts = [queue, prefill, decode, why]
    assert [part.name for part in parts] == ["queue", "prefill", "decode", "attribution"]
    assert whole.context and {part.parent and part.parent.span_id for part in parts} == {
        whole.context.span_id
    }
    times = [time for part in parts for time in (part.start_time, part.end_time)]
    assert times == sorted(times, key=lambda time: time or 0)
    assert (times[-1] or 0) <= (whole.end_time or 0)


def test_a_span_says_what_was_done_and_nothing_that_was_said(trace: Trace):
    whole, *_ = trace("/v1/chat/completions", BODY | {"feature_edits": [{"feature": 1, "strength": 0.5}]})
    said = dict(whole.attributes or {})
    assert said["http.response.status_code"] == 200 and said["steersman.edits"] == 1
    assert said["gen_ai.usage.output_tokens"] == 5 and said["gen_ai.response.finish_reasons"] == ("length",)
    assert "Xylophone" not in str(said)
    assert whole.resource.attributes["service.name"] == "steersman"


def test_a_span_belongs_to_the_caller_s_trace(trace: Trace):
    whole, *_ = trace("/v1/features/attribute", BODY | {"target": {"given": "a"}}, **CALLER)
    assert whole.context and f"{whole.context.trace_id:032x}" == "0af7651916cd43dd8448eb211c80319c"
    assert whole.parent and f"{whole.parent.span_id:016x}" == "b7ad6b7169203331"


@pytest.mark.parametrize("path", ["/health", "/no/such/path"])
def test_what_is_polled_or_is_not_there_has_none(trace: Trace, path: str):
    assert trace(path, {}, fake=True, method="GET") == []


def test_a_failure_is_told_by_its_code(trace: Trace, engine):
    engine.says("", EngineError("broken"))
    (whole,) = trace("/v1/chat/completions", BODY, fake=True)
    assert whole.status.status_code is StatusCode.ERROR
    assert (whole.attributes or {})["error.type"] == "internal_error"


@pytest.mark.parametrize(
    ("environment", "asked"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_TRACES_EXPORTER": "otlp", "STEERSMAN_TRACING": "false"}, False),
        ({"STEERSMAN_TRACING": "true"}, True),
    ],
)
def test_opentelemetry_s_variables_turn_tracing_on(environment, asked):
    assert read_config({}, environment).tracing is asked


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
    ],
)
def test_what_there_is_not_is_refused(environment):
    with pytest.raises(ValueError, match="this server has"):
        read_config({}, environment)


@pytest.fixture
def not_installed(monkeypatch) -> Iterator[None]:
    """A server without the extra."""
    monkeypatch.delitem(sys.modules, "steersman_server.spans")
    for name in [*sys.modules]:
        if name.partition(".")[0] == "opentelemetry":
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    yield


@pytest.mark.usefixtures("not_installed")
def test_without_the_extra_its_name_is_said_at_the_start():
    with pytest.raises(ValueError, match=re.escape("pip install 'steersman[otel]'")):
        Checks(ServerConfig(tracing=True)).records()
