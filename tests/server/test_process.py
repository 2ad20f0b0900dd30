"""The process that `steersman serve` is: how it ends, and that nothing is left behind."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.soak.tiny import write_tiny

from steersman_server.stop import Stop

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at by /proc")
ROOT = Path(__file__).parents[2]
WAIT_S, SETTLE_S = 120, 10
PASS_S, DEADLINE_S = 0.02, 4
HI = [{"role": "user", "content": "Hi"}]
BODY: dict[str, Any] = {"model": "tiny", "messages": HI, "logit_bias": {2: -100}}  # never ends by itself
SHORT, LONG = {"max_tokens": 8}, {"max_tokens": 450}


class Process:
    """`steersman serve` of the tiny model, which reads and writes its log as text."""

    def __init__(self, folder: Path, *flags: str, **environment: str) -> None:
        model, bundle = folder / "tiny", folder / "bundle"
        command = [sys.executable, "-m", "tests.server.slow_server", str(PASS_S), "serve"]
        command += ["--model", str(model), "--bundle", str(bundle), "--port", "0", *flags]
        command += ["--cache-dir", str(folder), "--data-dir", str(folder / "data")]
        self._log = (folder / "log").open("w+")
        self._running = subprocess.Popen(
            command, cwd=ROOT, stdout=self._log, stderr=self._log, text=True, env=os.environ | environment
        )
        self.pid = self._running.pid
        self.url = ""

    @property
    def log(self) -> str:
        """All that was written so far."""
        return Path(self._log.name).read_text()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until the log has a line like this."""
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            if found := re.search(pattern, self.log):
                return found
            assert self._running.poll() is None, self.log
            time.sleep(0.05)
        raise TimeoutError(f"{pattern} in {self.log}")

    def ready(self) -> "Process":
        """Wait until it answers."""
        self.url = self.wait_for(r"answers at (http://\S+),")[1]
        return self

    def tell(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._running.send_signal(number)

    def end(self) -> int:
        """Wait for its end, and give the exit code."""
        return self._running.wait(WAIT_S)

    def close(self) -> None:
        """Let nothing be left of it."""
        self._running.kill()
        self._running.wait()
        self._log.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer) -> Path:
    folder = tmp_path_factory.mktemp("process")
    write_tiny(folder, tiny_tokenizer)
    return folder


@contextlib.contextmanager
def process(folder: Path, *flags: str, **environment: str) -> Iterator[Process]:
    made = Process(folder, *flags, **environment)
    try:
        yield made
    finally:
        made.close()


def ask(url: str, **fields: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/chat/completions", json=BODY | fields, timeout=WAIT_S)


def events(answer: httpx.Response) -> list[Any]:
    return [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]


@pytest.fixture(scope="module")
def stopped(folder: Path) -> Iterator[dict[str, Any]]:
    """What was seen of a server that got SIGTERM while it had much to do."""
    found: dict[str, Any] = {}
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
        process(
            folder,
            *("--graceful-shutdown-s", str(DEADLINE_S), "--slots", "4"),
            *("--audit-log", str(folder / "audit.jsonl")),
            NOTIFY_SOCKET=told_at(manager, folder),
        ) as server,
        ThreadPoolExecutor() as pool,
        httpx.Client(base_url=server.ready().url) as idle,
    ):
        idle.get("/ready").raise_for_status()
        found["threads"] = threads_over_renewals(server)
        long_stream = pool.submit(ask, server.url, stream=True, **LONG)
        long = pool.submit(ask, server.url, **LONG)
        while "steersman_slots_used 2.0" not in httpx.get(f"{server.url}/metrics").text:
            time.sleep(0.02)
        short_stream = pool.submit(ask, server.url, stream=True, **SHORT)
        while "steersman_slots_used 3.0" not in httpx.get(f"{server.url}/metrics").text:
            time.sleep(0.02)
        server.tell(signal.SIGTERM)
        while (ready := httpx.get(f"{server.url}/ready")).status_code == 200:
            time.sleep(0.02)
        found |= {"ready": ready, "alive": httpx.get(f"{server.url}/health"), "late": ask(server.url)}
        found |= {"short": short_stream.result(), "long stream": long_stream.result(), "long": long.result()}
        found |= {"exit code": server.end(), "log": server.log}
        found["records"] = [json.loads(line) for line in (folder / "audit.jsonl").read_text().splitlines()]
        found["told"] = [manager.recv(100), manager.recv(100)]
        yield found


def told_at(manager: socket.socket, folder: Path) -> str:
    """Where a service manager is told things."""
    address = f"@steersman-{folder.name}-{os.getpid()}"  # of Linux, and not too long as a path may be
    manager.bind("\0" + address[1:])
    manager.settimeout(WAIT_S)
    return address


def threads_over_renewals(server: Process) -> tuple[int, int]:
    """Before the catalogue was replaced several times, and after."""
    before = num_threads(server)
    for number in range(1, 5):
        server.tell(signal.SIGUSR1)
        server.wait_for(f"(?s)(From now on served.*){{{number}}}")
    until = time.monotonic() + SETTLE_S
    while num_threads(server) > before and time.monotonic() < until:
        time.sleep(0.05)
    return before, num_threads(server)


def num_threads(server: Process) -> int:
    return int(re.findall(r"Threads:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())[0])


def test_a_catalogue_that_was_replaced_leaves_no_thread(stopped):
    before, after = stopped["threads"]
    assert after <= before


def test_a_server_that_stops_is_not_ready_and_alive(stopped):
    assert stopped["ready"].json()["error"]["code"] == "not_ready"
    assert stopped["alive"].status_code == 200


def test_a_request_that_comes_late_is_sent_elsewhere(stopped):
    late = stopped["late"]
    assert (late.status_code, late.json()["error"]["code"]) == (503, "not_ready")
    assert late.headers["retry-after"] and late.headers["connection"] == "close"


def test_an_answer_that_ends_before_the_deadline_is_whole(stopped):
    *_, finish, done = events(stopped["short"])
    assert json.loads(finish)["choices"][0]["finish_reason"] == "length" and done == "[DONE]"


def test_a_stream_beyond_the_deadline_ends_with_an_error(stopped):
    first, *_, error, done = events(stopped["long stream"])
    assert json.loads(first)["choices"] and done == "[DONE]"
    assert json.loads(error)["error"]["code"] == "not_ready"


def test_an_answer_beyond_the_deadline_is_an_error(stopped):
    long = stopped["long"]
    assert (long.status_code, long.json()["error"]["code"]) == (503, "not_ready")
    assert long.headers["retry-after"]


def test_the_audit_log_has_all_that_were_answered_to_the_end(stopped):
    found = [(record["status"], record.get("code")) for record in stopped["records"]]
    ended = [(200, None), (200, "not_ready"), (503, "not_ready"), (503, "not_ready")]
    assert sorted(found, key=str) == sorted(ended, key=str)


def test_an_orderly_end_is_a_success_and_no_error_in_the_log(stopped):
    assert stopped["exit code"] == 0
    assert not re.search("Traceback|ERROR|Exception", stopped["log"]), stopped["log"]


def test_a_service_manager_is_told_when_it_is_ready_and_when_it_stops(stopped):
    assert stopped["told"] == [b"READY=1", b"STOPPING=1"]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 0)],
)
def test_a_signal_while_the_model_loads_ends_it_cleanly(folder, number, code):
    with process(folder) as server:
        server.wait_for("Loading")
        server.tell(number)
        assert server.end() == code
        assert "answers at" not in server.log
        assert not re.search("Traceback|terminate|Fatal|ERROR", server.log), server.log


@pytest.fixture
def stop() -> Iterator[Stop]:
    """In this process; signals do what they did afterwards."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield Stop(lambda: None)
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_second_signal_s_number_is_in_the_exit_code(stop, monkeypatch, number, code):
    ended: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    signal.raise_signal(signal.SIGTERM)
    assert (ended, stop.exit_code) == ([], 0)
    signal.raise_signal(number)
    assert ended == [code]


def test_a_signal_that_comes_where_nothing_can_be_raised_ends_the_work_all_the_same(stop, capsys):
    class Last:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGTERM)

    def work() -> str:
        Last()  # gone at once
        time.sleep(SETTLE_S)
        return "done"

    assert stop.unless_told(work) is None
    assert stop.signal == signal.SIGTERM and capsys.readouterr().err == ""


def test_a_second_signal_waits_for_nobody(folder):
    with process(folder, "--graceful-shutdown-s", "600") as server, ThreadPoolExecutor() as pool:
        answer = pool.submit(ask, server.ready().url, **LONG)
        while "steersman_slots_used 1.0" not in httpx.get(f"{server.url}/metrics").text:
            time.sleep(0.02)
        server.tell(signal.SIGTERM)
        server.wait_for("Stopping")
        server.tell(signal.SIGTERM)
        assert server.end() == 128 + signal.SIGTERM
        assert not re.search("Traceback|terminate|Fatal", server.log), server.log
        with pytest.raises(httpx.HTTPError):
            answer.result()
