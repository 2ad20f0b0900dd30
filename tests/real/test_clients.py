"""OpenAI's own packages on the real server, over a socket, with the model that answers by default."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, OpenAI

from steersman_engine.serving import Loaded
from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.listen import Server
from steersman_server.served import ServedModel

pytestmark = pytest.mark.real

MODEL = "smollm2-135m-instruct"
HELLO: Any = [{"role": "user", "content": "Tell me about the sea."}]
SHORT: Any = {"model": MODEL, "messages": HELLO, "max_tokens": 12, "temperature": 0}
EDIT = {"feature": 1, "strength": 0.6}
WAIT_S = 60


@pytest.fixture(scope="module")
def url(loaded: Loaded) -> Iterator[str]:
    config = ServerConfig(port=0, graceful_shutdown_s=1)
    server = Server(create_app(ServedModel.of(loaded), config), config)
    thread = threading.Thread(target=server.run)
    thread.start()
    assert server.listening.wait(WAIT_S) and server.url is not None
    yield server.url
    server.should_exit = True
    thread.join(WAIT_S)


@pytest.fixture(scope="module")
def client(url: str) -> Iterator[OpenAI]:
    with OpenAI(
        base_url=f"{url}/v1", api_key="none", max_retries=0, _strict_response_validation=True
    ) as client:
        yield client


def test_a_stream_a_helper_and_an_asynchronous_client_say_what_a_plain_answer_says(
    client: OpenAI, url: str
) -> None:
    plain = client.chat.completions.create(**SHORT).choices[0]
    chunks = list(client.chat.completions.create(**SHORT, stream=True))
    with client.chat.completions.stream(**{**SHORT, "max_tokens": None, "stop": "."}) as stream:
        sentence = stream.get_final_completion().choices[0].message.content

    async def ask() -> str | None:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as asynchronous:
            return (await asynchronous.chat.completions.create(**SHORT)).choices[0].message.content

    assert plain.message.content and plain.finish_reason == "length"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == plain.message.content
    assert asyncio.run(ask()) == plain.message.content
    assert sentence and "." not in sentence


def test_log_probabilities_rebuild_a_text_of_many_alphabets(client: OpenAI, url: str) -> None:
    letters = httpx.post(f"{url}/tokenize", json={"prompt": "\u00e9\u4f60\u597d\U0001f600"}).json()["tokens"]
    asked = SHORT | {"temperature": 1.5, "max_tokens": 30, "seed": 3, "logprobs": True, "top_logprobs": 1}
    asked |= {"logit_bias": {str(token): 12 for token in letters}}
    choice = client.chat.completions.create(**asked).choices[0]
    assert choice.logprobs is not None and choice.logprobs.content is not None
    said = bytes(byte for token in choice.logprobs.content for byte in token.bytes or ())
    assert said.decode(errors="replace") == choice.message.content
    assert not said.isascii()


def test_json_of_a_schema_holds_under_edits(client: OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 20},
            "depth": {"type": "integer", "maximum": 99},
        },
        "required": ["name", "depth"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "sea", "schema": schema, "strict": True}}
    choice = client.chat.completions.create(
        **SHORT | {"max_tokens": 100, "response_format": form}, extra_body={"feature_edits": [EDIT]}
    ).choices[0]
    assert choice.finish_reason == "stop"
    assert json.loads(choice.message.content or "").keys() == {"name", "depth"}


def test_who_cannot_send_edits_steers_by_a_variant_s_name(client: OpenAI, url: str) -> None:
    httpx.post(f"{url}/v1/variants", json={"name": "sea", "feature_edits": [EDIT]}).raise_for_status()
    chunks = list(client.chat.completions.create(**SHORT | {"model": f"{MODEL}:sea"}, stream=True))
    steered = client.chat.completions.create(**SHORT, extra_body={"feature_edits": [EDIT]})
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == steered.choices[0].message.content
    assert (
        chunks[-1].model_extra is not None and chunks[-1].model_extra["steering"]["edits"][0]["feature"] == 1
    )


def test_a_receipt_replayed_gives_the_same_text(client: OpenAI) -> None:
    edits = [
        EDIT,
        {"feature": 3, "mode": "add", "strength": 0.3, "when": {"feature": 1, "op": ">", "value": 0.1}},
    ]
    asked = SHORT | {"temperature": 1}
    first = client.chat.completions.create(**asked, extra_body={"feature_edits": edits})
    receipt = (first.model_extra or {})["steering"]
    fields = ("feature", "mode", "strength", "unit", "phase", "roles", "when")
    again = [{name: edit[name] for name in fields if name in edit} for edit in receipt["edits"]]
    second = client.chat.completions.create(
        **asked, seed=receipt["seed"], extra_body={"feature_edits": again}
    )
    assert second.choices[0].message == first.choices[0].message


@pytest.mark.parametrize("stream", [False, True])
def test_leaving_frees_the_engine(url: str, stream: bool) -> None:
    endless = {"messages": HELLO, "max_tokens": 4000, "ignore_eos": True, "n": 2, "stream": stream}
    path, patience_s = f"{url}/v1/chat/completions", WAIT_S if stream else 1
    with suppress(httpx.ReadTimeout), httpx.stream("POST", path, json=endless, timeout=patience_s) as answer:
        next(answer.iter_lines())
    until = time.monotonic() + WAIT_S
    while "steersman_slots_used 0.0" not in httpx.get(f"{url}/metrics", timeout=WAIT_S).text:
        assert time.monotonic() < until, "The engine still works for nobody."
        time.sleep(0.05)


def test_openais_node_package_finds_what_it_expects(run_node: Callable[[str], str], url: str) -> None:
    assert run_node(url).count("ok ") == 12
