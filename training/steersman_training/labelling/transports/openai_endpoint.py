"""Any endpoint that speaks OpenAI's chat completions: a local model, a hosted one, `steersman serve`.

Not every server takes a JSON schema for its answer. The strictest way is tried first, and the next one
after a request that the server finds wrong; what it takes is remembered. Where no schema is taken it is
told in words.
"""

import json
import threading
from collections.abc import Mapping
from typing import Any, Literal

import httpx
import msgspec
from msgspec import Struct

from steersman_training.labelling.ask import Answer, Ask, Usage
from steersman_training.labelling.prices import Price
from steersman_training.labelling.protocols import Failure
from steersman_training.labelling.transports import BackendError, TurnedAwayError, UnsureError

Format = Literal["json_schema", "json_object", "text"]
FORMATS: tuple[Format, ...] = ("json_schema", "json_object", "text")
LIMITS = ("max_completion_tokens", "max_tokens")
HOPELESS = {401, 402, 403, 404}
MALFORMED = {400, 413, 415, 422, 501}
NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class _Details(Struct):
    cached_tokens: int | None = None


class _Usage(Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: _Details | None = None


class _Message(Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(Struct):
    message: _Message
    finish_reason: str | None = None


class Completion(Struct):
    """What is read of a chat completion."""

    choices: list[_Choice]
    id: str = ""
    model: str = ""
    usage: _Usage | None = None


class OpenAIEndpoint:
    """An endpoint for `OneByOne`. `extra` goes into every request as it is."""

    name = "openai"

    def __init__(
        self,
        http: httpx.Client,
        base_url: str,
        price: Price,
        *,
        api_key: str | None = None,
        extra: Mapping[str, Any] | None = None,
        format: Format = "json_schema",
    ) -> None:
        self._http = http
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._price = price
        self._extra = dict(extra or {})
        formats = FORMATS[FORMATS.index(format) :]
        self._ways: list[tuple[Format, str]] = [(way, limit) for way in formats for limit in LIMITS]
        self._known: tuple[Format, str] | None = None
        self._lock = threading.Lock()

    def usd(self, usage: Usage) -> float:
        """What a request of such a size costs."""
        return self._price.usd(usage)

    def most_usd(self, ask: Ask) -> float:
        """The most that a question can cost."""
        return self._price.most(ask, max_tokens=ask.max_tokens)

    def send(self, ask: Ask) -> Answer:
        """The answer.

        Raises:
            TurnedAwayError: Nothing was done.
            UnsureError: Something may have been.
            BackendError: No question will be answered now.
        """
        known = self._known
        complaint = ""
        for way in [known] if known else self._ways:
            response = self._post(body(ask, *way, self._extra))
            if response.status_code not in MALFORMED:
                self._remember(way)
                return read_completion(ask.id, response.content)
            complaint = complaint or _said(response)  # about the way that is meant to work
        return Answer(ask=ask.id, failure=Failure("error", complaint))

    def _remember(self, way: tuple[Format, str]) -> None:
        with self._lock:
            self._known = self._known or way

    def _post(self, content: dict[str, Any]) -> httpx.Response:
        try:
            response = self._http.post(self._url, json=content, headers=self._headers)
        except NEVER_SENT as error:
            raise TurnedAwayError(f"{self._url} cannot be reached: {error}") from error
        except httpx.HTTPError as error:
            raise UnsureError(f"No whole answer came from {self._url}: {error}") from error
        if response.status_code in HOPELESS:
            raise BackendError(_said(response))
        if response.status_code not in MALFORMED and not response.is_success:
            raise TurnedAwayError(_said(response), _retry_after(response.headers))
        return response


def body(ask: Ask, way: Format, limit: str, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Of the request."""
    system = ask.system
    form: dict[str, Any] = {}
    if way == "json_schema":
        schema = {"name": "answer", "strict": True, "schema": ask.schema}
        form["response_format"] = {"type": "json_schema", "json_schema": schema}
    else:
        system += "\n\nAnswer with one JSON object and nothing else, by this schema: " + json.dumps(
            ask.schema
        )
        if way == "json_object":
            form["response_format"] = {"type": "json_object"}
    turns = [{"role": turn.role, "content": turn.content} for turn in ask.messages]
    messages = [{"role": "system", "content": system}, *turns]
    return {"model": ask.model, "messages": messages, limit: ask.max_tokens, **form, **extra}


def read_completion(ask: str, content: bytes) -> Answer:
    """A chat completion as an answer.

    Raises:
        UnsureError: It is none.
    """
    try:
        completion = msgspec.json.decode(content, type=Completion)
        choice = completion.choices[0]
    except (msgspec.DecodeError, IndexError) as error:
        raise UnsureError(f"The answer is no chat completion: {error}") from error
    said, stop = choice.message, choice.finish_reason or ""
    failure = None
    if said.refusal or stop == "content_filter":
        failure = Failure("refused", said.refusal or stop)
    elif stop == "length":
        failure = Failure("truncated", stop)
    elif not said.content:
        failure = Failure("invalid", f"no text, stopped by {stop}")
    return Answer(
        ask=ask,
        text=None if failure else said.content,
        failure=failure,
        model=completion.model,
        usage=_usage(completion.usage),
        stop_reason=stop,
        request_id=completion.id,
    )


def _usage(told: _Usage | None) -> Usage | None:
    if told is None:
        return None
    details = told.prompt_tokens_details
    cached = (details.cached_tokens if details else 0) or 0
    return Usage(
        input_tokens=told.prompt_tokens - cached,
        output_tokens=told.completion_tokens,
        cache_read_tokens=cached,
    )


def _said(response: httpx.Response) -> str:
    return f"HTTP {response.status_code} from {response.url}: {response.text[:500]}"


def _retry_after(headers: httpx.Headers) -> float | None:
    try:
        return max(0.0, float(headers["retry-after"]))
    except (KeyError, ValueError):
        return None
