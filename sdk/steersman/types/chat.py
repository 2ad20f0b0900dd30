"""A chat request and its whole answer."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from steersman.types.activations import ActivationOptions, ChoiceActivations
from steersman.types.attribution import AttributionOptions, ChoiceAttribution
from steersman.types.logprobs import ChoiceLogprobs
from steersman.types.messages import AnswerMessage, Conversation
from steersman.types.moderation import Moderation
from steersman.types.response_format import ResponseFormat
from steersman.types.sampling import SamplingFields
from steersman.types.steering import Aborts, Edits, SteeringReceipt
from steersman.types.tools import FunctionTool, ToolChoice
from steersman.types.usage import Usage

FinishReason = Literal["stop", "length", "tool_calls", "content_filter"]
"""`content_filter`: a condition of `abort_when` held, which `steering.abort` tells, or moderation ended the
answer, which `moderation` tells."""


class StreamOptions(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a stream carries beside its text."""

    include_usage: bool = False
    """One more chunk, before the end, with the token counts."""
    continuous_usage_stats: bool = False
    """Token counts so far in every chunk."""
    include_obfuscation: bool = False
    """Accepted; no obfuscation is added."""


class ChatRequest(SamplingFields, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`POST /v1/chat/completions`: OpenAI's fields, and ours at the end."""

    messages: Conversation
    model: str | None = None
    """A model, or a variant as `model:variant`; left out: the server's model."""
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    """Wins over `max_tokens`. An answer ends where the context does, in any case."""
    n: Annotated[int, Meta(ge=1, le=8)] = 1
    """So many answers."""
    logprobs: bool = False
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    """Needs `logprobs`."""
    response_format: ResponseFormat | None = None
    tools: Annotated[tuple[FunctionTool, ...], Meta(max_length=128)] = ()
    """What the model may call; it needs a model whose chat template knows tools."""
    tool_choice: ToolChoice | None = None
    """Whether it must call one, and which."""
    parallel_tool_calls: bool = True
    """Whether it may make several calls in one answer."""
    stream: bool = False
    stream_options: StreamOptions | None = None
    """Needs `stream`."""
    feature_edits: Edits = ()
    abort_when: Aborts = ()
    """End an answer where one of these holds, with `finish_reason` `content_filter`."""
    controller: dict[str, Any] | None = None
    """Goodfire's controller or Variant JSON, in place of `feature_edits` and `abort_when`."""
    attribution: AttributionOptions | None = None
    activations: ActivationOptions | None = None


class Choice(Struct, frozen=True, kw_only=True):
    """One answer and why it ended."""

    index: int
    message: AnswerMessage
    finish_reason: FinishReason
    logprobs: ChoiceLogprobs | None


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
    moderation: Moderation | None = None
    attribution: list[ChoiceAttribution] | None = None
    activations: list[ChoiceActivations] | None = None
