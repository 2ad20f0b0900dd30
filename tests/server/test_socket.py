"""What only a real connection shows: pieces come as they are made, and leaving stops the work."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace

import httpx
import pytest
from tests.server.conftest import EndlessEngine

from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.listen import Server

WAIT_S = 20


@pytest.fixture(params=[None, 1], ids=["busy", "silent"])
def endless(request, engine) -> EndlessEngine:
    return EndlessEngine(engine, request.param)


@pytest.fixture
def url(served, endless) -> Iterator[str]:
    """The server on a free port."""
    config = ServerConfig(port=0, graceful_shutdown_s=1)
    server = Server(create_app(replace(served, engine=endless), config), config)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.listening.wait(WAIT_S)
    assert server.url is not None
    yield server.url
    server.should_exit = True
    thread.join(WAIT_S)


BODY = {"model": "org/tiny", "messages": [{"role": "user", "content": "Hi"}]}


def test_a_stream_comes_while_it_is_made_and_ends_with_its_client(url, endless):
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=BODY | {"stream": True}) as answer:
        events = (json.loads(line[6:]) for line in answer.iter_lines() if line)
        assert [next(events)["choices"][0]["delta"] for _ in range(2)][1] == {"content": "a"}
        assert not endless.closed.is_set()
    assert endless.closed.wait(WAIT_S)


@pytest.mark.parametrize("endless", [0], indirect=True, ids=["silent"])
@pytest.mark.parametrize("stream", [False, True])
def test_leaving_before_the_first_token_stops_the_work(url, endless, stream):
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{url}/v1/chat/completions", json=BODY | {"stream": stream}, timeout=0.3)
    assert endless.started.is_set()
    assert endless.closed.wait(WAIT_S)


def test_the_next_request_is_answered_after_one_was_left(url, endless):
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=BODY | {"stream": True}) as answer:
        next(answer.iter_lines())
    assert httpx.get(f"{url}/health").status_code == 200


@pytest.mark.parametrize("endless", [None], indirect=True, ids=["busy"])
def test_a_slow_reader_stalls_nobody(url, endless):
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=BODY | {"stream": True}) as slow:
        unread = slow.iter_lines()  # the client hangs up when these go
        next(unread)  # and no more
        with httpx.stream("POST", f"{url}/v1/chat/completions", json=BODY | {"stream": True}) as quick:
            lines = quick.iter_lines()
            assert [next(lines) for _ in range(100)]
            assert not endless.closed.is_set()  # the slow one is still there
        assert httpx.get(f"{url}/health", timeout=5).status_code == 200
