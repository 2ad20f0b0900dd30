"""Whether OpenTelemetry's own variables ask for traces."""

from collections.abc import Mapping

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
EXPORTER, DISABLED = "OTEL_TRACES_EXPORTER", "OTEL_SDK_DISABLED"


def asks_for_traces(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's variables say that traces are wanted, and where.

    Raises:
        ValueError: They want another exporter or protocol than there is.
    """
    exporter = environment.get(EXPORTER, "")
    if environment.get(DISABLED, "").strip().lower() == "true" or exporter == "none":
        return False
    if exporter not in ("", "otlp"):
        raise ValueError(f"{EXPORTER} is {exporter!r}; this server has otlp and none.")
    if not (exporter or any(environment.get(name) for name in ENDPOINTS)):
        return False
    for name in PROTOCOLS:
        if environment.get(name, "http/protobuf") not in ("", "http/protobuf"):
            raise ValueError(f"{name} is {environment[name]!r}; this server has http/protobuf.")
    return True
