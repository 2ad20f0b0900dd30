"""A server of one's own, for as long as a chat lasts."""

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from steersman.client import Client
from steersman.errors import APIConnectionError, InternalServerError
from steersman.types import Health

POLL_S = 0.3
STOP_S = 10.0
"""How long a server may take to end before it is killed."""
LOG_LINES = 20


@dataclass(frozen=True)
class LocalServer:
    """A server that runs as a child of this process."""

    url: str
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def check(self) -> None:
        """Raise OSError, with the end of what it wrote, if it has died."""
        status = self.process.poll()
        if status is None:
            return
        self.log.seek(0)
        written = self.log.read().decode(errors="replace").rstrip().splitlines()
        tail = "\n".join(written[-LOG_LINES:]) or "(it wrote nothing)"
        raise OSError(f"The server stopped with exit status {status}:\n{tail}")


def serve_command(port: int) -> list[str]:
    """The command line that serves the default model on `port`."""
    return [sys.executable, "-m", "steersman", "serve", "--host", "127.0.0.1", "--port", str(port)]


@contextmanager
def running_server() -> Generator[LocalServer, None, None]:
    """A server that is starting on a free port; it ends with the block, and with this process."""
    port = _free_port()
    with tempfile.TemporaryFile() as log, _ending_on_signals():
        process = subprocess.Popen(
            serve_command(port),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # so that Ctrl-C stops an answer and not the server
        )
        try:
            yield LocalServer(f"http://127.0.0.1:{port}", process, log)
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_until_ready(client: Client, server: LocalServer | None, tick: Callable[[float], None]) -> Health:
    """Wait while the server loads, calling `tick` with the seconds waited so far.

    `client` must not retry. Without `server`, one that cannot be reached is an error at once.

    Raises:
        OSError: `server` died.
    """
    start = time.monotonic()
    while True:
        try:
            return client.health()
        except APIConnectionError:
            if server is None:
                raise
        except InternalServerError as error:
            if error.status_code != 503:
                raise
        if server is not None:
            server.check()
        tick(time.monotonic() - start)
        time.sleep(POLL_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def _ending_on_signals() -> Generator[None, None, None]:
    """Turn the signals that would end this process at once into an orderly exit."""
    signals = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.signal(number, lambda number, _: sys.exit(128 + number)) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
