"""The server as a process of its own: start it, look at it from outside, break it, end it."""

import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parents[2]
START_S = 300
EXPECTED = ("injected", "The file of variants cannot be written", "The audit log cannot be written")
"""What the log says of the faults that are brought about."""
RECORD = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+ (?P<level>[A-Z]+) |^(?=[A-Z]+: )", re.MULTILINE)
"""Where a record of the log begins, ours or uvicorn's."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process holds."""

    rss_mib: float
    threads: int
    files: int
    """Open file handles, sockets included."""


class ServerProcess:
    """`steersman serve` on a port of its own, under the faults of a folder."""

    def __init__(self, arguments: Sequence[str], faults: Path, port: int) -> None:
        self.arguments, self.faults, self.port = list(arguments), faults, port
        self.url = f"http://127.0.0.1:{port}"
        self.log = bytearray()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> float:
        """Start it, wait until it is ready, and tell how many seconds that took."""
        began = time.monotonic()
        command = [sys.executable, "-m", "tests.soak.faulty_server", str(self.faults), "serve"]
        self._process = process = subprocess.Popen(
            [*command, *self.arguments, "--port", str(self.port)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
        threading.Thread(target=self._read, args=[process], daemon=True).start()
        while time.monotonic() < began + START_S:
            assert process.poll() is None, f"The server ended:\n{self.log.decode()[-4000:]}"
            if self.is_ready():
                return time.monotonic() - began
            time.sleep(0.1)
        raise TimeoutError(f"The server was not ready in {START_S} s.")

    def is_ready(self) -> bool:
        """Whether it would answer a request now."""
        try:
            return httpx.get(f"{self.url}/ready", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """`kill -9`."""
        self._running.kill()
        self._running.wait()

    def stop(self) -> int:
        """SIGTERM; the exit code."""
        self._running.terminate()
        return self._running.wait(60)

    def renew(self) -> None:
        """SIGUSR1: read the catalogue anew."""
        self._running.send_signal(signal.SIGUSR1)

    def limit_file_size(self, num_bytes: int | None) -> None:
        """Let no file grow beyond this, as on a disk that is full; None: no limit."""
        _, hard = resource.prlimit(self._running.pid, resource.RLIMIT_FSIZE)
        soft = hard if num_bytes is None else num_bytes
        resource.prlimit(self._running.pid, resource.RLIMIT_FSIZE, (soft, hard))

    def usage(self) -> Usage:
        """Memory, threads and file handles, as the kernel counts them."""
        folder = Path(f"/proc/{self._running.pid}")
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        return Usage(
            rss_mib=int(status["VmRSS"].split()[0]) / 1024,
            threads=int(status["Threads"]),
            files=len(list((folder / "fd").iterdir())),
        )

    def metrics(self) -> dict[str, float]:
        """What the server counts, each number by its name and labels."""
        text = httpx.get(f"{self.url}/metrics", timeout=30).text
        lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in lines}

    def audited(self, outcome: str) -> int:
        """How many records of the audit log were `written`, or `lost`."""
        return int(self.metrics().get(f'steersman_audit_records_total{{outcome="{outcome}"}}', 0))

    def unexplained_errors(self) -> list[str]:
        """Records of the log at level ERROR or above that no injected fault explains."""
        text = self.log.decode(errors="replace")
        starts = [found.start() for found in RECORD.finditer(text)]
        records = [text[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]
        bad = [record for record in records if re.match(r"\S+ \S+ (ERROR|CRITICAL)|ERROR", record)]
        return [record for record in bad if not any(known in record for known in EXPECTED)]

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self.log += line
