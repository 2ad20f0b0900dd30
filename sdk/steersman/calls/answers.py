"""Calls that make answers: chats, completions, sweeps."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypedDict, Unpack

from steersman.calls.call import Call, post
from steersman.types import (
    JSON,
    ActivationOptions,
    AttributionOptions,
    ChatCompletion,
    ChatRequest,
    Completion,
    CompletionRequest,
    Condition,
    EditLike,
    FunctionTool,
    Messages,
    ResponseFormat,
    StreamOptions,
    Sweep,
    SweepRequest,
    ToolChoice,
    Variant,
)


class AnswerOptions(TypedDict, total=False):
    """What every request that makes an answer may say; `SamplingFields` says what each may hold."""

    model: str | Variant | None
    """A model's id, or a variant; the server's own model, if left out."""
    feature_edits: Iterable[EditLike]
    abort_when: Iterable[Condition | JSON]
    temperature: float
    top_p: float
    max_tokens: int | None
    stop: str | Sequence[str] | None
    seed: int | None
    frequency_penalty: float
    presence_penalty: float
    logit_bias: Mapping[str, float]
    top_k: int | None
    min_p: float
    repetition_penalty: float
    min_tokens: int
    ignore_eos: bool
    stop_token_ids: Sequence[int]


class ChatOptions(AnswerOptions, total=False):
    """The optional fields of a chat request; `ChatRequest` says what each may hold."""

    controller: JSON | None
    attribution: AttributionOptions | JSON | None
    activations: ActivationOptions | JSON | None
    max_completion_tokens: int | None
    n: int
    logprobs: bool
    top_logprobs: int | None
    response_format: ResponseFormat | JSON | None
    tools: Iterable[FunctionTool | JSON]
    tool_choice: ToolChoice | JSON | None
    parallel_tool_calls: bool
    stream_options: StreamOptions | JSON | None


class CompletionOptions(AnswerOptions, total=False):
    """The optional fields of a completion request; `CompletionRequest` says what each may hold."""

    controller: JSON | None
    attribution: AttributionOptions | JSON | None
    activations: ActivationOptions | JSON | None
    n: int
    echo: bool
    logprobs: int | None
    stream_options: StreamOptions | JSON | None


class SweepOptions(AnswerOptions, total=False):
    """The optional fields of a sweep; `SweepRequest` says what each may hold."""

    max_completion_tokens: int | None
    score: bool


Prompt = str | Sequence[int] | Sequence[str] | Sequence[Sequence[int]]
"""A text, token ids, or several of either."""


def create_chat(messages: Messages, options: ChatOptions, *, stream: bool) -> Call[ChatCompletion]:
    """`POST /v1/chat/completions`. A stream asks for its usage unless `stream_options` says otherwise.

    Raises:
        ValueError: A field is misspelt or holds what it may not; the message gives its place.
    """
    fields: dict[str, Any] = {**options, "messages": list(messages), "stream": stream}
    return post("/v1/chat/completions", ChatRequest, _with_usage(fields), ChatCompletion)


def create_completion(prompt: Prompt, options: CompletionOptions, *, stream: bool) -> Call[Completion]:
    """`POST /v1/completions`. A stream asks for its usage unless `stream_options` says otherwise.

    Raises:
        ValueError: A field is misspelt or holds what it may not; the message gives its place.
    """
    fields: dict[str, Any] = {**options, "prompt": prompt, "stream": stream}
    return post("/v1/completions", CompletionRequest, _with_usage(fields), Completion)


def create_sweep(
    *, messages: Messages, sweep: Iterable[Iterable[EditLike]], **options: Unpack[SweepOptions]
) -> Call[Sweep]:
    """Answer one conversation under each set of edits of `sweep`, with the same seed; an empty set is plain.

    Raises:
        ValueError: A field is misspelt or holds what it may not; nothing was sent.
    """
    fields = {**options, "messages": list(messages), "sweep": [list(edits) for edits in sweep]}
    return post("/v1/sweeps", SweepRequest, fields, Sweep)


def _with_usage(fields: dict[str, Any]) -> dict[str, Any]:
    if fields["stream"] and fields.get("stream_options") is None:
        fields["stream_options"] = StreamOptions(include_usage=True)
    return fields
