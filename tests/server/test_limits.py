"""Every limit that a request can run into, and what it is told."""

import asyncio
import json
import logging
import re
import socket
import time
from dataclasses import replace

import httpx
import pytest
from litestar.testing import TestClient

from steersman_engine.engine import EngineTimeoutError, InspectRequest, TokenEvent
from steersman_engine.local_engine import EngineConfig, LocalEngine
from steersman_engine.prompt import from_tokens
from steersman_server.app import create_app
from steersman_server.checks import engine_config
from steersman_server.config import ServerConfig

HELLO = [{"role": "user", "content": "Hi"}]
EDIT = {"feature": 1, "strength": 0.5}
CHAT, INSPECT = "/v1/chat/completions", "/v1/features/inspect"


def refused(answer):
    error = answer.json()["error"]
    return answer.status_code, error["code"], error["param"]


@pytest.mark.parametrize(
    ("settings", "path", "fields", "expected"),
    [
        ({"max_messages": 1}, CHAT, {"messages": HELLO * 2}, (400, "array_above_max_length", "messages")),
        ({"max_messages": 1}, INSPECT, {"messages": HELLO * 2}, (400, "array_above_max_length", "messages")),
        ({"max_prompt_tokens": 9}, CHAT, {}, (400, "context_length_exceeded", "messages")),
        ({"max_prompt_tokens": 9}, "/v1/logits", {}, (400, "context_length_exceeded", "messages")),
        ({"max_output_tokens": 9}, CHAT, {"max_tokens": 10}, (400, "integer_above_max_value", "max_tokens")),
        (
            {"max_output_tokens": 9},
            CHAT,
            {"max_completion_tokens": 10},
            (400, "integer_above_max_value", "max_completion_tokens"),
        ),
        (
            {"max_edits": 1},
            CHAT,
            {"feature_edits": [EDIT, EDIT]},
            (400, "array_above_max_length", "feature_edits"),
        ),
        (
            {"max_strength": 0.4},
            CHAT,
            {"feature_edits": [EDIT]},
            (400, "decimal_above_max_value", "feature_edits[0].strength"),
        ),
        (
            {"max_attribution_tokens": 1},
            CHAT,
            {"attribution": {"tokens": [0, 1]}},
            (400, "array_above_max_length", "attribution.tokens"),
        ),
        (
            {"max_attribution_tokens": 1},
            "/v1/completions",
            {"prompt": "Hi", "attribution": {"tokens": [0, 1]}, "messages": None},
            (400, "array_above_max_length", "attribution.tokens"),
        ),
        (
            {"max_attribution_tokens": 1},
            "/v1/features/attribute",
            {"messages": [*HELLO, {"role": "assistant", "content": "Ho"}], "tokens": [0, 1]},
            (400, "array_above_max_length", "tokens"),
        ),
        (
            {"max_inspect_features": 1},
            INSPECT,
            {"features": [1, 2]},
            (400, "array_above_max_length", "features"),
        ),
        ({"max_body_bytes": 9}, CHAT, {}, (413, "request_too_large", None)),
    ],
    ids=str,
)
def test_what_is_beyond_a_limit_is_refused_by_name(client_with, engine, settings, path, fields, expected):
    body = {"messages": HELLO} | fields
    with client_with(**settings) as http:
        assert refused(http.post(path, json=body)) == expected
    with client_with() as http:
        assert http.post(path, json=body).status_code == 200


def test_a_variant_s_edits_count_too(client_with, engine):
    with client_with(max_edits=2) as http:
        http.post("/v1/variants", json={"name": "two", "feature_edits": [EDIT, EDIT]})
        body = {"model": "org/tiny:two", "messages": HELLO}
        assert http.post(CHAT, json=body).status_code == 200
        more = http.post(CHAT, json=body | {"feature_edits": [EDIT]})
    assert refused(more) == (400, "array_above_max_length", "feature_edits")


def test_the_engine_s_limits_are_the_settings():
    config = ServerConfig(slots=2, kv_gib=3, max_queue=4, max_jobs=5, max_job_tokens=6, request_timeout_s=7)
    assert engine_config(config) == EngineConfig(
        num_slots=2,
        kv_bytes=3 * 2**30,
        max_waiting=4,
        max_jobs=5,
        max_job_positions=6,
        job_timeout_s=7,
    )


def test_an_answer_without_max_tokens_is_as_long_as_the_server_gives(client_with, engine):
    engine.says("aaaaaaaaaa")
    with client_with(max_output_tokens=4) as http:
        answer = http.post(CHAT, json={"messages": HELLO}).json()
    assert (answer["usage"]["completion_tokens"], answer["choices"][0]["finish_reason"]) == (4, "length")


class LateEngine:
    """Its time is over before the first token, or after it."""

    def __init__(self, fake, num_tokens: int) -> None:
        self.info, self.stats = fake.info, fake.stats
        self._script = fake.script[:num_tokens]

    async def generate(self, request):
        assert request.deadline is not None
        for token_id in self._script:
            yield TokenEvent(token_id=token_id)
        yield TokenEvent(finish="deadline")


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_could_not_begin_in_time_is_refused(served, engine, stream):
    app = create_app(replace(served, engine=LateEngine(engine, 0)), ServerConfig())
    with TestClient(app, base_url="http://127.0.0.1") as http:
        answer = http.post(CHAT, json={"messages": HELLO, "stream": stream})
    assert refused(answer) == (408, "deadline_exceeded", None)
    assert answer.headers["retry-after"]


def test_an_answer_whose_time_is_over_ends_there(served, engine):
    app = create_app(replace(served, engine=LateEngine(engine, 3)), ServerConfig())
    with TestClient(app, base_url="http://127.0.0.1") as http:
        (choice,) = http.post(CHAT, json={"messages": HELLO}).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("Hel", "length")


def test_a_request_has_the_servers_deadline(client_with, engine):
    with client_with(request_timeout_s=1e6) as http:
        http.post(CHAT, json={"messages": HELLO})
    with client_with(request_timeout_s=1e-6) as http:
        http.post(CHAT, json={"messages": HELLO})
    late, early = (request.deadline for request in engine.generated)
    assert late - early > 1e5


def test_a_job_has_a_deadline(tiny_host, tiny_sae):
    engine = LocalEngine(tiny_host, tiny_sae, sink_norm=1e9, config=EngineConfig(job_timeout_s=1e-9))

    async def inspect():
        try:
            await engine.inspect(InspectRequest(prompt=from_tokens([1, 5, 6])))
        finally:
            await engine.aclose()

    with pytest.raises(EngineTimeoutError):
        asyncio.run(inspect())


@pytest.fixture
def impatient_url(served, engine, serving):
    return serving(served, client_timeout_s=0.2)


def test_a_body_that_does_not_come_is_not_waited_for(impatient_url):
    host, port = impatient_url.removeprefix("http://").split(":")
    head = f"POST {CHAT} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(f"{head}content-length: 99\r\n\r\n{{".encode())
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()  # until it is closed
    assert answer.startswith("HTTP/1.1 408") and '"body_timeout"' in answer


def test_a_client_that_leaves_amid_its_body_is_no_fault_of_the_servers(served, serving, caplog):
    url = serving(served)
    host, port = url.removeprefix("http://").split(":")
    head = f"POST {CHAT} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(f"{head}content-length: 99\r\n\r\n{{".encode())
    counted = ""
    for _ in range(200):
        counted = httpx.get(f"{url}/metrics").text
        if 'code="client_closed_request"' in counted:
            break
        time.sleep(0.05)
    assert 'code="client_closed_request"' in counted and 'code="internal_error"' not in counted
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


def test_an_answer_that_is_not_taken_is_not_kept(served, endless_engine, serving):
    url = serving(replace(served, engine=endless_engine), client_timeout_s=0.2)
    host, port = url.removeprefix("http://").split(":")
    body = json.dumps({"messages": HELLO, "stream": True})
    head = f"POST {CHAT} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n{body}".encode())
        assert endless_engine.closed.wait(60)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", ""])
@pytest.mark.parametrize("path", [CHAT, INSPECT, "/v1/variants"])
def test_only_json_is_read(http, path, content_type):
    answer = http.post(path, content=json.dumps({"messages": HELLO}), headers={"content-type": content_type})
    assert refused(answer)[:2] == (415, "unsupported_media_type")


PAGE = "https://page.example"
PREFLIGHT = {"origin": PAGE, "access-control-request-method": "POST"}


def test_no_page_elsewhere_may_ask(http):
    assert "access-control-allow-origin" not in http.options(CHAT, headers=PREFLIGHT).headers
    answer = http.get("/v1/models", headers={"origin": PAGE})
    assert "access-control-allow-origin" not in answer.headers


def test_a_page_that_is_allowed_may_ask(client_with):
    with client_with(cors_origin=(PAGE,)) as http:
        allowed = http.options(CHAT, headers=PREFLIGHT)
        assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (204, PAGE)
        assert http.get("/v1/models", headers={"origin": PAGE}).headers["access-control-allow-origin"] == PAGE
        other = http.get("/v1/models", headers={"origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers
    with client_with(cors_origin=("*",)) as http:
        assert http.get("/v1/models", headers={"origin": PAGE}).headers["access-control-allow-origin"] == "*"


NAMES_A_PLACE = re.compile(
    r"path|file|url|uri|dir|folder|module|template$|import|adapter|lora|callback", re.I
)
MEANT = {"skip_template", "chat_template_kwargs", "image_url", "file"}


def test_no_field_of_a_request_names_a_place_on_the_server(http):
    document = http.get("/schema/openapi.json").json()
    schemas = document["components"]["schemas"]
    asked = [
        operation["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        for item in document["paths"].values()
        for operation in item.values()
        if "requestBody" in operation
    ]
    found = {
        (name, field)
        for name in asked
        for field in schemas[name]["properties"]
        if NAMES_A_PLACE.search(field)
    }
    assert {field for _, field in found} <= MEANT


@pytest.mark.parametrize("path", ["../app.py", "..%2fapp.py", "%2e%2e/app.py", "/etc/passwd", "....//app.py"])
def test_the_pages_files_are_all_that_is_served(http, path):
    assert http.get(f"/web/{path}").status_code in (400, 404)
