"""The port is open before the model is loaded, and until the last answer has ended."""

import asyncio
import contextlib
import json
import logging
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import httpx
import pytest
from litestar import Litestar
from tests.server.conftest import H_MAX, make_catalog, serve

from steersman_engine.local_engine import EngineConfig, LocalEngine
from steersman_server import listen
from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.listen import Server

WAIT_S = 20
CHAT = "/v1/chat/completions"
BODY = {"model": "org/tiny", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.fixture
def server():
    """One that has no application yet."""
    server = Server(None, ServerConfig(port=0, graceful_shutdown_s=WAIT_S))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.listening.wait(WAIT_S)
    yield server
    server.leave()
    thread.join(WAIT_S)
    assert not thread.is_alive()


def started(app: Litestar, config: ServerConfig) -> tuple[Server, threading.Thread]:
    """It listens; the caller ends it."""
    server = Server(app, config)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.listening.wait(WAIT_S)
    return server, thread


def test_until_it_is_loaded_a_server_says_so_and_then_it_answers(server, served):
    early = httpx.get(f"{server.url}/health")
    assert (early.status_code, early.json()["error"]["code"]) == (503, "not_ready")
    assert early.headers["retry-after"] and early.headers["x-request-id"]
    server.doorway.open(create_app(served, ServerConfig()))
    assert server.doorway.opened.wait(WAIT_S)
    assert httpx.get(f"{server.url}/health").status_code == 200


def test_what_comes_while_it_is_loaded_has_a_line_in_the_log(server, caplog):
    caplog.set_level(logging.INFO, "steersman_server")
    for path in ("/v1/models", "/ready"):
        httpx.get(f"{server.url}{path}")
    (line,) = [each for each in caplog.messages if "GET" in each]
    assert line.startswith("GET /v1/models: 503 not_ready, ")


def test_what_comes_late_is_logged_counted_and_audited_as_else(served, endless_engine, tmp_path, caplog):
    caplog.set_level(logging.INFO, "steersman_server")
    audit = tmp_path / "audit.jsonl"
    config = ServerConfig(port=0, graceful_shutdown_s=WAIT_S, audit_log=audit)
    app = create_app(replace(served, engine=endless_engine), config)
    server, thread = started(app, config)
    with httpx.stream("POST", f"{server.url}{CHAT}", json=BODY | {"stream": True}) as answer:
        lines = answer.iter_lines()  # the client hangs up when these go
        next(lines)
        server.leave()
        while httpx.get(f"{server.url}/ready").status_code == 200:
            time.sleep(0.02)
        late = httpx.post(f"{server.url}{CHAT}", json=BODY, headers={"x-request-id": "late"})
    thread.join(WAIT_S)
    assert (late.status_code, late.json()["error"]["code"]) == (503, "not_ready")
    assert late.headers["retry-after"] and late.headers["connection"] == "close"
    assert "POST /v1/chat/completions: 503 not_ready, " in caplog.text
    counts = app.state.running.metrics.render().decode()
    assert 'steersman_errors_total{code="not_ready"} 2.0' in counts
    assert f'steersman_http_requests_total{{method="POST",path="{CHAT}",status="503"}} 1.0' in counts
    records = {record["request_id"]: record for record in map(json.loads, audit.read_text().splitlines())}
    assert (records["late"]["status"], records["late"]["code"]) == (503, "not_ready")


def test_a_server_with_nothing_to_do_ends_at_once(served):
    config = ServerConfig(port=0, graceful_shutdown_s=100 * WAIT_S)
    server, thread = started(create_app(served, config), config)
    with httpx.Client(base_url=server.url or "") as idle:
        idle.get("/health").raise_for_status()
        server.leave()
        thread.join(WAIT_S)
        assert not thread.is_alive()


def test_answers_that_wait_for_a_slot_are_given_too(tiny_tokenizer, tiny_host, tiny_sae, wide_catalog):
    engine = LocalEngine(tiny_host, tiny_sae, sink_norm=float("inf"), config=EngineConfig(num_slots=1))
    config = ServerConfig(port=0, graceful_shutdown_s=5 * WAIT_S)
    server, thread = started(create_app(serve(tiny_tokenizer, engine, wide_catalog), config), config)
    server.engine = engine
    body = BODY | {"ignore_eos": True, "max_tokens": 60}
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(httpx.post, f"{server.url}{CHAT}", json=body, timeout=None) for _ in range(4)]
        while engine.stats().queue_length < 2:
            time.sleep(0.01)
        server.leave()
        answers = [each.result() for each in asked]
    thread.join(WAIT_S)
    asyncio.run(engine.aclose())
    assert [answer.status_code for answer in answers] == [200] * 4
    assert {answer.json()["usage"]["completion_tokens"] for answer in answers} == {60}


@pytest.fixture
def signals():
    """Those that a server catches do what they did afterwards."""
    caught = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in caught}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("signals")
def test_a_server_that_ends_by_itself_was_no_success(tiny_tokenizer, engine, tmp_path, monkeypatch):
    servers: list[Server] = []

    def load(server: Server, *_) -> Litestar:
        servers.append(server)
        catalog = make_catalog(tmp_path / "catalog.duckdb", H_MAX)
        return create_app(serve(tiny_tokenizer, engine, catalog), ServerConfig())

    told: list[str] = []

    def tell(what: str) -> None:
        told.append(what)
        servers[0].leave()

    monkeypatch.setattr(listen, "configure_log", lambda _: None)
    monkeypatch.setattr(listen, "_load_app", load)
    with pytest.raises(OSError, match="ended by itself"):
        listen.serve(ServerConfig(port=0), tell)
    assert told == ["READY=1"]


def test_a_server_that_was_never_loaded_stops(server):
    server.leave()  # and the fixture sees that it has ended


@pytest.mark.parametrize("reads", [True, False], ids=["waits", "does not read"])
def test_nobody_holds_up_the_end(served, endless_engine, monkeypatch, caplog, reads):
    monkeypatch.setattr(listen, "LAST_WORDS_S", 0.2)
    config = ServerConfig(port=0, graceful_shutdown_s=0.1)
    app = create_app(replace(served, engine=endless_engine), config)
    uvicorns = logging.getLogger("uvicorn.error")  # it does not reach caplog by itself
    monkeypatch.setattr(uvicorns, "handlers", [caplog.handler])
    server, thread = started(app, config)
    with httpx.stream("POST", f"{server.url}{CHAT}", json=BODY | {"stream": True}) as answer:
        lines = answer.iter_lines()
        next(lines)
        server.leave()
        with pytest.raises(httpx.HTTPError) if reads else contextlib.nullcontext():
            while reads:
                next(lines)
        thread.join(ServerConfig().graceful_shutdown_s)  # what is not left to them by this setting
        assert not thread.is_alive() and endless_engine.closed.is_set()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
