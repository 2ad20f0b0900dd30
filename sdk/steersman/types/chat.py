"""A chat request and its whole answer."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from steersman.types.attribution import AttributionOptions, ChoiceAttribution
from steersman.types.messages import AnswerMessage, Message
from steersman.types.steering import FeatureEdit, SteeringReceipt

FinishReason = Literal["stop", "length", "content_filter"]


class StreamOptions(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a stream carries beside its text."""

    include_usage: bool = False
    include_obfuscation: bool = False
    """Accepted; no obfuscation is added."""


class ChatRequest(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`POST /v1/chat/completions`: OpenAI's fields, and ours at the end."""

    model: str
    messages: Annotated[tuple[Message, ...], Meta(min_length=1)]
    temperature: Annotated[float, Meta(ge=0, le=2)] = 1.0
    top_p: Annotated[float, Meta(gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    """Wins over `max_tokens`."""
    stop: (
        Annotated[str, Meta(min_length=1)]
        | Annotated[tuple[Annotated[str, Meta(min_length=1)], ...], Meta(max_length=4)]
        | None
    ) = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    feature_edits: Annotated[tuple[FeatureEdit, ...], Meta(max_length=64)] = ()
    attribution: AttributionOptions | None = None


class Usage(Struct, frozen=True):
    """Token counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class Choice(Struct, frozen=True, kw_only=True):
    """One answer and why it ended."""

    index: int
    message: AnswerMessage
    finish_reason: FinishReason
    logprobs: None


class ChatCompletion(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    system_fingerprint: str
    steering: SteeringReceipt | None = None
    attribution: list[ChoiceAttribution] | None = None
