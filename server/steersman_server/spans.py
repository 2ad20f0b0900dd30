"""Spans of requests, as OpenTelemetry has them. They are made when a request is over, from its account."""

import time

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.util.types import Attributes

import steersman
from steersman_server.account import Account
from steersman_server.accounting import POLLED

Part = tuple[str, float, float, Attributes]
"""Name, begin and end by `time.monotonic`, and what more there is to say."""


class SpanMaker:
    """Sends spans where OpenTelemetry's variables say, as they say."""

    def __init__(self, model: str) -> None:
        resource = Resource.create({SERVICE_VERSION: steersman.__version__, "steersman.model": model})
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: "steersman"}))
        self._provider = TracerProvider(resource=resource)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("steersman", steersman.__version__)

    def record(self, account: Account) -> None:
        """A span of a request, under the one that its caller names, and one of each part of it."""
        if account.route is None or account.route in POLLED:
            return
        epoch = time.time() - time.monotonic()
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in account.scope["headers"]
        }
        span = self._tracer.start_span(
            f"{account.method} {account.route}",
            context=extract(headers),
            kind=SpanKind.SERVER,
            attributes=_attributes(account),
            start_time=_ns(epoch + account.arrived_s),
        )
        if account.status is not None and account.status >= 500:
            span.set_status(Status(StatusCode.ERROR))
        inside = set_span_in_context(span)
        for name, began, ended, more in parts(account):
            part = self._tracer.start_span(
                name, context=inside, attributes=more, start_time=_ns(epoch + began)
            )
            part.end(_ns(epoch + ended))
        span.end(_ns(epoch + account.ended_s))

    def close(self) -> None:
        """Send what waits."""
        self._provider.shutdown()


def parts(account: Account) -> list[Part]:
    """What the time of a request was spent on: of answers as the engine tells it, and of jobs."""
    found: list[Part] = [(name, began, ended, None) for name, began, ended in account.timed]
    for choice, answer in enumerate(account.work.answers if account.work else ()):
        if (timing := answer.timing) is None:
            continue
        which = {"steersman.choice": choice}
        found += [
            ("queue", timing.arrived_s, timing.begun_s, which),
            ("prefill", timing.begun_s, timing.first_token_s, which),
            (
                "decode",
                timing.first_token_s,
                answer.ended_s or account.ended_s,
                which | {"gen_ai.usage.output_tokens": answer.num_tokens},
            ),
        ]
    if account.work and account.work.explained_s:
        found.append(("attribution", *account.work.explained_s, None))
    return found


def _attributes(account: Account) -> Attributes:
    """By OpenTelemetry's conventions where there are any."""
    work = account.work
    about = {
        "http.request.method": account.method,
        "http.route": account.route,
        "http.response.status_code": account.status,
        "error.type": account.code,
        "gen_ai.request.model": account.served and account.served.name,
        "gen_ai.usage.input_tokens": account.num_read or None,
        "gen_ai.usage.output_tokens": account.num_written or None,
        "gen_ai.response.finish_reasons": work
        and [answer.finish_reason for answer in work.answers if answer.finish_reason],
        "steersman.request_id": account.request_id,
        "steersman.key": account.whose.key,
        "steersman.edits": work and sum(len(plan.steering.edits) for plan in work.plans),
    }
    return {name: value for name, value in about.items() if value is not None}


def _ns(seconds: float) -> int:
    return round(seconds * 1e9)
