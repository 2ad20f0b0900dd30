"""The port is open before the model is loaded, and until the last answer has ended."""

import contextlib
import logging
import threading
from dataclasses import replace

import httpx
import pytest

from steersman_server import listen
from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.listen import Server

WAIT_S = 20
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


def test_until_it_is_loaded_a_server_says_so_and_then_it_answers(server, served):
    early = httpx.get(f"{server.url}/health")
    assert (early.status_code, early.json()["error"]["code"]) == (503, "not_ready")
    assert early.headers["retry-after"] and early.headers["x-request-id"]
    server.doorway.open(create_app(served, ServerConfig()))
    assert server.doorway.opened.wait(WAIT_S)
    assert httpx.get(f"{server.url}/health").status_code == 200


def test_a_server_that_was_never_loaded_stops(server):
    server.leave()  # and the fixture sees that it has ended


@pytest.mark.parametrize("reads", [True, False], ids=["waits", "does not read"])
def test_nobody_holds_up_the_end(served, endless_engine, monkeypatch, caplog, reads):
    monkeypatch.setattr(listen, "LAST_WORDS_S", 0.2)
    config = ServerConfig(port=0, graceful_shutdown_s=0.1)
    server = Server(create_app(replace(served, engine=endless_engine), config), config)
    uvicorns = logging.getLogger("uvicorn.error")  # it does not reach caplog by itself
    monkeypatch.setattr(uvicorns, "handlers", [caplog.handler])
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.listening.wait(WAIT_S)
    with httpx.stream("POST", f"{server.url}/v1/chat/completions", json=BODY | {"stream": True}) as answer:
        lines = answer.iter_lines()
        next(lines)
        server.leave()
        with pytest.raises(httpx.HTTPError) if reads else contextlib.nullcontext():
            while reads:
                next(lines)
        thread.join(WAIT_S)
        assert not thread.is_alive() and endless_engine.closed.is_set()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
