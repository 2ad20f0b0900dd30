import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from tests.sdk.conftest import FakeServer

from steersman import APIConnectionError, Client
from steersman.cli import main
from steersman.terminal import local_server

HEALTH_SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    calls = 0
    def do_GET(self):
        Handler.calls += 1
        self.send_response(503 if Handler.calls == 1 else 200)
        self.end_headers()
        self.wfile.write(b'{"status": "ok", "version": "0", "model": "child", "bundle": "b"}')
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""
DYING_SERVER = "import sys; sys.exit('There is no bundle.')"


class Handler(BaseHTTPRequestHandler):
    """Puts the fake server behind a socket."""

    fake: FakeServer

    def do_GET(self) -> None:
        length = int(self.headers.get("content-length", 0))
        request = httpx.Request(self.command, f"http://fake{self.path}", content=self.rfile.read(length))
        answer = self.fake(request)
        self.send_response(answer.status_code)
        self.send_header("content-type", answer.headers["content-type"])
        self.end_headers()
        self.wfile.write(answer.content)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def url(server: FakeServer) -> Iterator[str]:
    """The address of the fake server on a real socket."""
    handler = type("FakeHandler", (Handler,), {"fake": server})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        threading.Thread(target=http.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """What is started instead of `steersman serve`."""
    monkeypatch.setattr(
        local_server, "serve_command", lambda port: [sys.executable, "-c", request.param, str(port)]
    )
    monkeypatch.setattr(local_server, "POLL_S", 0.02)


def test_a_script_can_chat_through_a_pipe(url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "steersman", "chat", "--url", url, "--seed", "1"],
        input="/steer 1 0.5\nHi\n/plain\n/steer 99 1\n",
        capture_output=True,
        text=True,
    )
    assert done.stdout.splitlines() == [
        "      1  set 0.5  pirates",
        "Ahoy",
        "(steered: 1 set 0.5 on 7 tokens)",
        "(without edits)",
        "Hello",
    ]
    assert (done.stderr, done.returncode) == ("No feature 99 in this catalog.\n", 0)


def test_an_address_where_nothing_answers_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["chat", "--url", "http://127.0.0.1:1"])
    assert "http://127.0.0.1:1 cannot be reached" in capsys.readouterr().err


def test_another_server_at_the_address_is_told_apart(
    url: str, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.instead = [httpx.Response(404, text="Jupyter")]
    with pytest.raises(SystemExit):
        main(["chat", "--url", url])
    assert "does not answer as a steersman server" in capsys.readouterr().err


@pytest.mark.parametrize("serve", [HEALTH_SERVER], indirect=True)
@pytest.mark.usefixtures("serve")
def test_a_server_of_ones_own_is_waited_for_and_stopped() -> None:
    waits: list[float] = []
    with local_server.running_server() as server, Client(server.url, max_retries=0) as client:
        assert local_server.wait_until_ready(client, server, waits.append).model == "child"
    assert waits
    assert server.process.poll() == -signal.SIGTERM  # asked, not killed


@pytest.mark.parametrize("serve", [DYING_SERVER], indirect=True)
@pytest.mark.usefixtures("serve")
def test_a_server_that_dies_is_quoted() -> None:
    with (
        local_server.running_server() as server,
        Client(server.url, max_retries=0) as client,
        pytest.raises(OSError, match="exit status 1:\nThere is no bundle"),
    ):
        local_server.wait_until_ready(client, server, lambda _: None)


@pytest.mark.parametrize("serve", [HEALTH_SERVER], indirect=True)
@pytest.mark.usefixtures("serve")
def test_a_chat_that_is_ended_by_a_signal_stops_its_server() -> None:
    with pytest.raises(SystemExit), local_server.running_server() as server:
        signal.raise_signal(signal.SIGTERM)
    assert server.process.poll() is not None


def test_a_server_that_was_not_started_here_is_not_waited_for() -> None:
    with Client("http://127.0.0.1:1", max_retries=0) as client, pytest.raises(APIConnectionError):
        local_server.wait_until_ready(client, None, lambda _: pytest.fail("it waited"))


@pytest.mark.parametrize("serve", [HEALTH_SERVER], indirect=True)
@pytest.mark.usefixtures("serve")
def test_without_an_address_a_server_is_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("STEERSMAN_BASE_URL", raising=False)
    monkeypatch.setattr("steersman.terminal.DEFAULT_BASE_URL", "http://127.0.0.1:1")
    (tmp_path / "lines").write_text("/edits\n")
    with (tmp_path / "lines").open() as lines:
        monkeypatch.setattr(sys, "stdin", lines)
        main(["chat"])
    shown = capsys.readouterr()
    assert shown.err == "Nothing answers at http://127.0.0.1:1: starting a server for this chat.\n"
    assert shown.out == "(no edits)\n"
