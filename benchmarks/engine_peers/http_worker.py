"""Any server of OpenAI's completions: `http_worker.py URL MODEL PROMPTS -- COMMAND ...` starts and asks it.

PROMPTS is `ids`, or, for `transformers serve`, which takes nothing but text and ends an answer as its
`generation_config` says, the folder of the tokenizer that makes text of them. What comes then is counted in
pieces of text, of which one may be several tokens.
"""

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import urlparse

from worker import Clock, in_threads, serve

START_S = 240


def main(url: str, model: str, prompts: str, command: list[str]) -> None:
    body_of = with_ids if prompts == "ids" else with_text(prompts)
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
                    "stream": True,
                    **body_of(asked["prompts"][index], asked["new_tokens"]),
                }
                connection.request(
                    "POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"}
                )
                response = connection.getresponse()
                if response.status != 200:
                    raise RuntimeError(response.read()[:300])
                written = None
                for line in response:
                    if not line.startswith(b"data: {"):
                        continue
                    chunk = json.loads(line[6:])
                    written = (chunk.get("usage") or {}).get("completion_tokens", written)
                    if chunk["choices"] and chunk["choices"][0].get("text"):
                        clock.tick(index)
                if written not in (None, asked["new_tokens"]):
                    raise RuntimeError(f"{written} tokens came, not {asked['new_tokens']}.")

            in_threads(len(asked["prompts"]), stream)
            return clock.answer()

        serve(run, steers=False)
    finally:
        server.terminate()
        server.wait()


def with_ids(prompt: list[int], new_tokens: int) -> dict[str, Any]:
    """What most servers take."""
    return {"prompt": prompt, "max_tokens": new_tokens, "temperature": 0, "ignore_eos": True}


def with_text(folder: str) -> Callable[[list[int], int], dict[str, Any]]:
    """What `transformers serve` takes, with the tokenizer of a folder."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)

    def body(prompt: list[int], new_tokens: int) -> dict[str, Any]:
        generation = {
            "max_new_tokens": new_tokens,
            "do_sample": False,
            "eos_token_id": None,
            "pad_token_id": 0,
        }
        text = tokenizer.decode(prompt)
        if tokenizer(text)["input_ids"] != prompt:
            text = tokenizer.decode(prompt, skip_special_tokens=True)
        return {"prompt": text, "generation_config": json.dumps(generation)}

    return body


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
