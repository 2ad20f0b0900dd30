"""A server made of a function: the real client talks to it without a socket."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from steersman import Client

LABELS = ["cooking", "pirates", "code", "grief", "numbers"]
RECEIPT = {
    "bundle": "tiny@0",
    "edits": [
        {
            "feature": 1,
            "label": "pirates",
            "mode": "set",
            "strength": 0.5,
            "unit": "h_max",
            "mul": 0.0,
            "add": 4.0,
            "tokens_edited": 7,
            "mean_activation_before": 0.0,
        }
    ],
}
ATTRIBUTION = [
    {
        "choice": 0,
        "method": "gradient",
        "target": "logit_minus_mean",
        "tokens": [
            {
                "index": 0,
                "token": "Ahoy",
                "objective": 9.5,
                "features": [
                    {"feature": 1, "label": "pirates", "attribution": 0.7, "activation": 2.0, "h_max": 8.0}
                ],
            }
        ],
    }
]


def sse(*data: Any) -> bytes:
    """Events as a server writes them; what is no string is JSON."""
    texts = (item if isinstance(item, str) else json.dumps(item) for item in data)
    return "".join(f"data: {text}\n\n" for text in texts).encode()


def chunk(content: str | None = None, finish: str | None = None, **extra: Any) -> dict[str, Any]:
    """One chunk; with neither content nor finish it has no choices."""
    delta = {} if content is None else {"content": content}
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "tiny",
        "choices": [] if content is None and finish is None else [choice],
        "usage": None,
        "system_fingerprint": "fp",
        **extra,
    }


def feature(index: int, **extra: Any) -> dict[str, Any]:
    """One feature as it is listed."""
    return {
        "index": index,
        "label": LABELS[index],
        "label_kind": "statistical",
        "h_max": 8.0,
        "density": 0.0125,
        **extra,
    }


def error(status: int, message: str, **headers: str) -> httpx.Response:
    """An answer that is not 2xx, in OpenAI's form."""
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
    return httpx.Response(status, json=body, headers={"x-request-id": "req-1", **headers})


class FakeServer:
    """Answers as a steersman server does: `Ahoy` where feature 1 is edited, else `Hello`."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.instead: list[httpx.Response | BaseException] = []
        """What to answer next, before anything else."""

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if self.instead:
            answer = self.instead.pop(0)
            if isinstance(answer, BaseException):
                raise answer
            return answer
        path = request.url.path
        if path == "/v1/chat/completions":
            return self._chat(json.loads(request.content))
        if path == "/v1/models":
            return httpx.Response(200, json={"object": "list", "data": [MODEL]})
        if path == "/health":
            return httpx.Response(200, json=HEALTH)
        if path == "/v1/features":
            return self._features(request.url.params)
        index = int(path.rpartition("/")[2])
        if index >= len(LABELS):
            return error(404, f"No feature {index} in this catalog.")
        return httpx.Response(200, json=feature(index, examples=[EXAMPLE]))

    @property
    def bodies(self) -> list[dict[str, Any]]:
        """What was sent to the chat endpoint."""
        return [json.loads(request.content) for request in self.requests if request.method == "POST"]

    def _chat(self, body: dict[str, Any]) -> httpx.Response:
        text = "Ahoy" if body.get("feature_edits") else "Hello"
        usage = {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
        extra: dict[str, Any] = {}
        if body.get("feature_edits"):
            extra["steering"] = RECEIPT
        if body.get("attribution") is not None:
            extra["attribution"] = ATTRIBUTION
        if not body.get("stream"):
            message = {"role": "assistant", "content": text, "refusal": None}
            choice = {"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}
            whole = chunk(choices=[choice], object="chat.completion", usage=usage, **extra)
            return httpx.Response(200, json=whole)
        events = [chunk(text[:2]), chunk(text[2:]), chunk(finish="stop")]
        events += [chunk(**extra)] if extra else []
        events += [chunk(usage=usage)] if (body.get("stream_options") or {}).get("include_usage") else []
        return streamed(sse(*events, "[DONE]"))

    def _features(self, params: httpx.QueryParams) -> httpx.Response:
        words = params.get("query", "")
        found = [index for index, label in enumerate(LABELS) if words in label]
        after = int(params.get("after", -1))
        rest = [index for index in found if index > after]
        page = rest[: int(params["limit"])]
        return httpx.Response(
            200,
            json={
                "object": "list",
                "data": [feature(index) for index in page],
                "has_more": len(rest) > len(page),
                "first_id": str(page[0]) if page else None,
                "last_id": str(page[-1]) if page else None,
            },
        )


MODEL = {
    "id": "tiny",
    "object": "model",
    "created": 1,
    "owned_by": "steersman",
    "bundle": "tiny@0",
    "layer": 1,
    "d_sae": 5,
    "max_model_len": 64,
}
HEALTH = {"status": "ok", "version": "0", "model": "tiny", "bundle": "tiny@0"}
EXAMPLE = {
    "document": "d1",
    "role": "user",
    "tokens": ["the", " jolly", "\n", " \x1b[31mroger"],
    "activations": [0.0, 7.5, 0.0, 0.0],
    "peak": 1,
    "stratum": 4,
}


def streamed(body: bytes, **headers: str) -> httpx.Response:
    """A 200 that is a stream of events."""
    return httpx.Response(200, content=body, headers={"content-type": "text/event-stream", **headers})


@pytest.fixture
def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
def make_client(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Client]]:
    """A client of `server`, with the environment's variables out of the way."""
    monkeypatch.delenv("STEERSMAN_BASE_URL", raising=False)
    monkeypatch.delenv("STEERSMAN_API_KEY", raising=False)
    with httpx.Client(transport=httpx.MockTransport(server)) as http:
        yield lambda *args, **kwargs: Client(*args, http=http, **kwargs)


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    return make_client()


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Every wait between attempts, in seconds; none is really waited."""
    waited: list[float] = []
    monkeypatch.setattr("steersman.transport.time.sleep", waited.append)
    return waited
