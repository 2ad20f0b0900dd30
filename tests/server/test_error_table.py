"""Each row of the table of errors: something brings it about, and it is answered as the table says."""

from collections.abc import Callable
from pathlib import Path

import pytest
from litestar.testing import TestClient

from steersman_catalog.moderation import CATEGORIES
from steersman_engine.engine import EngineBusyError, RequestTooLargeError
from steersman_server.error_codes import CODES
from steersman_server.errors import ClientDisconnectedError, RequestError
from steersman_server.keys import ApiKey

HELLO = [{"role": "user", "content": "Hi"}]
EDIT = {"feature": 1, "strength": 0.5}
CHAT = "/v1/chat/completions"


def chat(**fields):
    return lambda http: http.post(CHAT, json={"messages": HELLO} | fields)


def sent(body: bytes, content_type: str = "application/json"):
    return lambda http: http.post(CHAT, content=body, headers={"content-type": content_type})


def twice(http: TestClient):
    variant = {"name": "twice", "feature_edits": [EDIT]}
    return [http.post("/v1/variants", json=variant) for _ in range(2)][1]


BROUGHT_ABOUT = {
    "invalid_json": sent(b"{"),
    "invalid_type": chat(temperature="1"),
    "invalid_value": chat(reasoning_effort="extreme"),
    "missing_required_parameter": lambda http: http.post(CHAT, json={}),
    "unknown_parameter": chat(feature_edit=[]),
    "unsupported_parameter": chat(audio={}),
    "unsupported_value": chat(modalities=["audio"]),
    "empty_array": chat(messages=[]),
    "empty_string": chat(stop=""),
    "array_above_max_length": chat(stop=["a"] * 5),
    "string_above_max_length": chat(messages=[HELLO[0] | {"name": "x" * 65}]),
    "integer_below_min_value": chat(n=0),
    "integer_above_max_value": chat(n=9),
    "decimal_below_min_value": chat(temperature=-1),
    "decimal_above_max_value": chat(feature_edits=[EDIT | {"strength": 9}]),
    "edit_without_effect": chat(feature_edits=[EDIT | {"mode": "scale", "strength": 1}]),
    "feature_refused": chat(feature_edits=[EDIT | {"feature": 4}]),
    "context_length_exceeded": chat(messages=[{"role": "user", "content": "x" * 300}]),
    "features_hidden": lambda http: http.get("/v1/features?hidden=true"),
    "model_not_found": chat(model="gpt"),
    "feature_not_found": lambda http: http.get("/v1/features/99"),
    "variant_not_found": lambda http: http.get("/v1/variants/none"),
    "unknown_url": lambda http: http.post("/v1/responses", json={}),
    "method_not_supported": lambda http: http.get(CHAT),
    "variant_exists": twice,
    "unsupported_media_type": sent(b"{}", "text/plain"),
}
FAILURES = {
    "too_many_positions": RequestTooLargeError("too long"),
    "engine_busy": EngineBusyError(),
    "client_closed_request": ClientDisconnectedError(),
    "internal_error": RuntimeError("secret"),
}
"""What is raised where answers are made."""
SETTINGS = {
    "moderation_unavailable": {"moderation_url": "http://127.0.0.1:9/v1", "moderation_failure": "closed"},
    "invalid_api_key": {"keys": (ApiKey.of("secret"),)},
    "host_not_allowed": {"allow_host": ("here.example",)},
    "request_too_large": {"max_body_bytes": 10},
}
ELSEWHERE = {
    "not_ready": "test_doorway.py",
    "key_not_allowed": "test_rates.py",
    "rate_limit_exceeded": "test_rates.py",
    "concurrency_limit_exceeded": "test_rates.py",
    "storage_failed": "test_variants.py",
    "body_timeout": "test_limits.py",
    "deadline_exceeded": "test_limits.py",
}
"""Rows that another file brings about, because they need more than a request."""
BLOCKED = {f"input_blocked_{category}" for category in CATEGORIES}
"""Rows that `test_moderation.py` brings about, one for each category."""
HEADERS = {
    401: {"www-authenticate": "Bearer"},
    429: {"retry-after": "1", "x-should-retry": "true"},
    503: {"retry-after": "1", "x-should-retry": "true"},
    500: {"x-should-retry": "false"},
}


def check(answer, code: str) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["type"]) == (CODES[code].status, code, CODES[code].type)
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"] and "secret" not in answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] and int(answer.headers["openai-processing-ms"]) >= 0
    assert answer.headers.items() >= HEADERS.get(answer.status_code, {}).items()


@pytest.mark.parametrize("code", BROUGHT_ABOUT)
def test_a_request_that_cannot_be_carried_out(http, code):
    check(BROUGHT_ABOUT[code](http), code)


@pytest.mark.parametrize("code", FAILURES)
def test_work_that_fails(http, engine, code):
    engine.says("", FAILURES[code])
    check(chat()(http), code)


@pytest.mark.parametrize("code", SETTINGS)
def test_a_server_that_does_not_take_everything(client_with: Callable[..., TestClient], code):
    host = {"host": "elsewhere.example"} if code == "host_not_allowed" else {}
    with client_with(**SETTINGS[code]) as http:
        check(http.post(CHAT, json={"messages": HELLO}, headers=host), code)


def test_every_row_of_the_table_is_brought_about():
    assert {*BROUGHT_ABOUT, *FAILURES, *SETTINGS, *ELSEWHERE, *BLOCKED} == set(CODES)
    for code, name in ELSEWHERE.items():
        assert f'"{code}"' in Path(__file__).with_name(name).read_text(encoding="utf-8")


def test_no_other_code_can_be_made():
    with pytest.raises(AssertionError):
        RequestError("?", code="unheard_of")
