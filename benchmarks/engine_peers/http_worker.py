"""Any server of OpenAI's completions: `python http_worker.py URL MODEL -- COMMAND ...` starts and asks it."""

import http.client
import json
import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlparse

from worker import Clock, in_threads, serve

START_S = 240


def main(url: str, model: str, command: list[str]) -> None:
    address = urlparse(url)
    assert address.hostname is not None
    server = subprocess.Popen(command, stdout=sys.stderr)
    try:
        deadline = time.monotonic() + START_S
        while not healthy(address.hostname, address.port):
            if server.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start within {START_S} s.")
            time.sleep(0.5)

        def run(asked: dict[str, Any]) -> dict[str, Any]:
            clock = Clock(len(asked["prompts"]))

            def stream(index: int) -> None:
                connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=600)
                body = {
                    "model": model,
                    "prompt": asked["prompts"][index],
                    "max_tokens": asked["new_tokens"],
                    "temperature": 0,
                    "ignore_eos": True,
                    "stream": True,
                }
                connection.request(
                    "POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"}
                )
                response = connection.getresponse()
                if response.status != 200:
                    raise RuntimeError(response.read()[:300])
                for line in response:
                    if line.startswith(b"data: {") and json.loads(line[6:])["choices"]:
                        clock.tick(index)

            in_threads(len(asked["prompts"]), stream)
            return clock.answer()

        serve(run, steers=False)
    finally:
        server.terminate()
        server.wait()


def healthy(host: str, port: int | None) -> bool:
    """Whether the server answers."""
    try:
        connection = http.client.HTTPConnection(host, port, timeout=2)
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False


if __name__ == "__main__":
    at = sys.argv.index("--")
    main(*sys.argv[1:at], sys.argv[at + 1 :])
