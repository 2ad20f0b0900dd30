"""The SDK offers everything that the server describes, and nothing else."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from steersman import APIStatusError, Client, InternalServerError, SteersmanError
from steersman.calls import ChatOptions, CompletionOptions, FeatureFilters, SweepOptions
from steersman.errors import status_error
from steersman_server.requests.fields import CHAT_FIELDS, COMPLETION_FIELDS

HELLO = [{"role": "user", "content": "Hi"}]
EDITS = [{"feature": 1, "strength": 0.5}]
CALLS: dict[str, dict[str, Any]] = {
    "chat.completions.create": {"messages": HELLO},
    "completions.create": {"prompt": "Hi"},
    "detokenize": {"tokens": [1]},
    "features.attribute": {"messages": HELLO},
    "features.contrast": {"positive": [HELLO], "negative": [HELLO]},
    "features.dashboard": {"feature": 1},
    "features.echoes": {"feature": 1},
    "features.get": {"feature": 1},
    "features.inspect": {"messages": HELLO},
    "features.list": {},
    "features.lookup": {"features": [1]},
    "features.map": {},
    "features.neighbors": {"features": [1]},
    "features.rerank": {"features": [1], "query": "x"},
    "features.search": {"query": "x"},
    "health": {},
    "logits": {"messages": HELLO},
    "models.get": {"model": "org/tiny"},
    "models.list": {},
    "sweeps.create": {"messages": HELLO, "sweep": [EDITS]},
    "tokenize": {"text": "Hi"},
    "tokenizer_info": {},
    "variants.create": {"name": "a", "feature_edits": EDITS},
    "variants.delete": {"name": "a"},
    "variants.get": {"name": "a"},
    "variants.import_": {"variants": []},
    "variants.list": {},
    "variants.replace": {"name": "a", "feature_edits": EDITS},
}
NOT_FOR_CLIENTS = {
    ("GET", "/metrics"),  # Prometheus reads it
    ("GET", "/ready"),  # another name of /health
    ("GET", "/v1/features/{index}/neighbors"),  # the POST of that name says the same of one or several
}
OPTIONS = {
    "chat.completions.create": (ChatOptions, {"messages", "stream"}, CHAT_FIELDS),
    "completions.create": (CompletionOptions, {"prompt", "stream"}, COMPLETION_FIELDS),
    "sweeps.create": (SweepOptions, {"messages", "sweep"}, {}),
}
SAID_OTHERWISE = {
    "tokenize": {"text", "content", "prompt", "return_token_strs"},
    "variants.import_": {"variants", "data", "object"},
}
"""Where a parameter has another name than its field, or the SDK fills a field in itself."""


@pytest.fixture(scope="module")
def document(lasting_http) -> dict[str, Any]:
    return lasting_http.get("/schema/openapi.json").json()


def method_of(client: Client, name: str) -> Callable[..., Any]:
    found: Any = client
    for part in name.split("."):
        found = getattr(found, part)
    return found


def asked(name: str) -> httpx.Request:
    """The request that a method sends."""
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(404)

    with httpx.Client(transport=httpx.MockTransport(answer)) as http, pytest.raises(SteersmanError):
        method_of(Client(http=http, max_retries=0), name)(**CALLS[name])
    return sent[0]


def operation(document: dict[str, Any], name: str) -> tuple[str, str]:
    """Which operation of the description a method asks for."""
    request = asked(name)
    for path in sorted(document["paths"], key=lambda path: path.count("{")):
        pattern = re.sub(r"\\{\w+\\}", r"[^/]+(/[^/]+)?" if "model}" in path else "[^/]+", re.escape(path))
        if re.fullmatch(pattern, request.url.path) and request.method.lower() in document["paths"][path]:
            return request.method, path
    raise AssertionError(f"{name} asks for {request.method} {request.url.path}, which there is not")


def methods() -> Iterator[str]:
    """Every method of a client that sends something."""
    own = {"close", "with_options"}
    with Client("http://a") as client:
        for name in (name for name in dir(client) if not name.startswith("_") and name not in own):
            member = getattr(client, name)
            if callable(member):
                yield name
            elif name == "chat":
                yield "chat.completions.create"
            elif name != "base_url":
                yield from (f"{name}.{inner}" for inner in dir(member) if not inner.startswith("_"))


def test_every_method_is_looked_at() -> None:
    assert sorted(methods()) == sorted(CALLS)


def test_what_the_server_offers_the_sdk_asks_for(document) -> None:
    offered = {
        (method.upper(), path) for path, item in document["paths"].items() for method in item
    } - NOT_FOR_CLIENTS
    assert {operation(document, name) for name in CALLS} == offered


@pytest.mark.parametrize("name", CALLS)
def test_a_method_takes_what_its_operation_takes(document, name: str) -> None:
    method, path = operation(document, name)
    described = document["paths"][path][method.lower()]
    fields = {parameter["name"] for parameter in described.get("parameters", [])}
    body = described.get("requestBody")
    if body is not None:
        schema = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
        fields |= set(document["components"]["schemas"][schema]["properties"])
    taken = set(inspect.signature(method_of(Client("http://a"), name)).parameters)
    if name in OPTIONS:
        options, own, without_effect = OPTIONS[name]
        taken = set(options.__annotations__) | own
        fields -= set(without_effect)
    if name in ("features.search", "features.list"):
        taken = (taken | set(FeatureFilters.__annotations__)) - {"filters"}
        taken |= {"query", "mode", "sort"}  # each has what makes sense for it
    said_otherwise = SAID_OTHERWISE.get(name, set()) | {"index", "feature"}
    assert taken - said_otherwise == fields - said_otherwise


def test_every_status_that_is_described_has_a_class_of_its_own(document) -> None:
    statuses = {
        int(status)
        for item in document["paths"].values()
        for described in item.values()
        for status in described["responses"]
        if int(status) >= 400 and status != "415"  # a body is always declared as JSON
    }
    assert statuses
    classes = [type(status_error(status, b"")) for status in sorted(statuses)]
    known = [each for each in classes if each is not InternalServerError]  # for several, from 500 up
    assert APIStatusError not in known
    assert len(set(known)) == len(known)
