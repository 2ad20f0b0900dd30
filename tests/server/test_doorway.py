"""The port is open before the model is loaded."""

import threading

import httpx
import pytest

from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.doorway import Doorway
from steersman_server.listen import Server

WAIT_S = 20


@pytest.fixture
def opening(served, engine):
    """A server whose model loads when `go` is set, and fails if `broken` is."""
    go, done, broken = threading.Event(), threading.Event(), threading.Event()
    ended = []

    def load():
        go.wait(WAIT_S)
        if broken.is_set():
            raise ValueError("no such model")
        return create_app(served, ServerConfig())

    def finished(error):
        ended.append(error)
        done.set()

    server = Server(Doorway(load, finished), ServerConfig(port=0, graceful_shutdown_s=1))
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.listening.wait(WAIT_S)
    yield server.url, go, done, broken, ended
    go.set()
    server.should_exit = True
    thread.join(WAIT_S)


def test_until_it_is_loaded_a_server_says_so_and_then_it_answers(opening):
    url, go, done, *_ = opening
    early = httpx.get(f"{url}/health")
    assert (early.status_code, early.json()["error"]["code"]) == (503, "not_ready")
    assert early.headers["retry-after"] and early.headers["x-request-id"]
    go.set()
    assert done.wait(WAIT_S)
    assert httpx.get(f"{url}/health").status_code == 200


def test_a_model_that_cannot_be_loaded_is_reported(opening):
    _, go, done, broken, ended = opening
    broken.set()
    go.set()
    assert done.wait(WAIT_S)
    assert str(ended[0]) == "no such model"
