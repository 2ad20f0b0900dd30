"""Each call as data: what to send and what comes back. Nothing here touches the network."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, Generic, TypedDict, TypeVar

import msgspec

from steersman.errors import ResponseError, excerpt
from steersman.types import (
    JSON,
    ActivationOptions,
    AttributionOptions,
    ChatCompletion,
    ChatRequest,
    Condition,
    EditLike,
    Feature,
    FeaturePage,
    Health,
    Messages,
    ModelList,
    ResponseFormat,
    StreamOptions,
)

T = TypeVar("T")
MAX_PAGE = 100


class ChatOptions(TypedDict, total=False):
    """The optional fields of a chat request; `ChatRequest` says what each may hold."""

    model: str | None
    """The only model that the server has, if left out."""
    feature_edits: Sequence[EditLike]
    abort_when: Sequence[Condition | JSON]
    controller: JSON | None
    attribution: AttributionOptions | JSON | None
    activations: ActivationOptions | JSON | None
    temperature: float
    top_p: float
    top_k: int | None
    min_p: float
    max_tokens: int | None
    max_completion_tokens: int | None
    min_tokens: int
    ignore_eos: bool
    stop: str | Sequence[str] | None
    stop_token_ids: Sequence[int]
    seed: int | None
    n: int
    frequency_penalty: float
    presence_penalty: float
    repetition_penalty: float
    logit_bias: dict[str, float]
    logprobs: bool
    top_logprobs: int | None
    response_format: ResponseFormat | JSON | None
    stream_options: StreamOptions | JSON | None


@dataclass(frozen=True)
class Call(Generic[T]):
    """One HTTP request, and the type of its answer."""

    method: str
    path: str
    answer: type[T]
    query: dict[str, str | int] = field(default_factory=dict)
    body: bytes | None = None


def health() -> Call[Health]:
    """`GET /health`."""
    return Call("GET", "/health", Health)


def list_models() -> Call[ModelList]:
    """`GET /v1/models`."""
    return Call("GET", "/v1/models", ModelList)


def get_feature(index: int) -> Call[Feature]:
    """`GET /v1/features/{index}`."""
    if index < 0:
        raise ValueError(f"Feature {index}: an index is 0 or more.")
    return Call("GET", f"/v1/features/{index}", Feature)


def list_features(query: str | None, *, limit: int, after: str | None) -> Call[FeaturePage]:
    """`GET /v1/features`: a page of the features that match `query`, or of all."""
    if not 1 <= limit <= MAX_PAGE:
        raise ValueError(f"limit={limit}: a page holds 1 to {MAX_PAGE} features.")
    if query is not None and not query.strip():
        raise ValueError("The search is empty: give it words, or list the features instead.")
    params = {"query": query, "limit": limit, "after": after}
    sent = {name: value for name, value in params.items() if value is not None}
    return Call("GET", "/v1/features", FeaturePage, query=sent)


def create_chat(messages: Messages, options: ChatOptions, *, stream: bool) -> Call[ChatCompletion]:
    """`POST /v1/chat/completions`. A stream asks for its usage unless `stream_options` says otherwise.

    Raises:
        ValueError: A field is misspelt or holds what it may not; the message gives its place.
    """
    fields: JSON = {**options, "messages": list(messages), "stream": stream}
    if stream and fields.get("stream_options") is None:
        fields["stream_options"] = StreamOptions(include_usage=True)
    try:
        request = msgspec.json.decode(msgspec.json.encode(fields, enc_hook=_number), type=ChatRequest)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error
    return Call("POST", "/v1/chat/completions", ChatCompletion, body=msgspec.json.encode(request))


def only_model(models: ModelList) -> str:
    """The model of a server that has one.

    Raises:
        ValueError: It has none, or several.
    """
    names = [model.id for model in models.data]
    if len(names) == 1:
        return names[0]
    listed = ", ".join(names) or "none"
    raise ValueError(f"Pass model=: the server has {len(names)} models ({listed}).")


def decode(body: bytes, answer: type[T]) -> T:
    """Read `body` as JSON of type `answer`.

    Raises:
        ResponseError: It is something else.
    """
    try:
        return msgspec.json.decode(body, type=answer)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ResponseError(
            f"The answer is no {answer.__name__}: {error}. It begins: {excerpt(body)!r}"
        ) from error


def _number(value: Any) -> int | float:
    """A number that is not one of Python's own, such as NumPy's."""
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    raise TypeError(f"A request cannot hold {value!r} of type {type(value).__name__}.")
