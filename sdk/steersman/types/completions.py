"""A text to be continued, and its continuation: OpenAI's older API, which evaluation tools use."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from steersman.types.activations import ActivationOptions, ChoiceActivations
from steersman.types.attribution import AttributionOptions, ChoiceAttribution
from steersman.types.chat import FinishReason, StreamOptions
from steersman.types.moderation import Moderation
from steersman.types.sampling import SamplingFields
from steersman.types.steering import Aborts, Edits, SteeringReceipt
from steersman.types.usage import Usage

TokenId = Annotated[int, Meta(ge=0)]


class CompletionRequest(
    SamplingFields, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True
):
    """`POST /v1/completions`."""

    prompt: str | Annotated[tuple[str | int | tuple[TokenId, ...], ...], Meta(min_length=1, max_length=128)]
    """A text, a list of token ids, or a list of either."""
    model: str | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = 16
    """0 only with `echo`: score the prompt and make nothing."""
    n: Annotated[int, Meta(ge=1, le=8)] = 1
    echo: bool = False
    """Give the prompt back before the continuation, with its log probabilities if asked for."""
    logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    feature_edits: Edits = ()
    abort_when: Aborts = ()
    controller: dict[str, Any] | None = None
    attribution: AttributionOptions | None = None
    activations: ActivationOptions | None = None


class CompletionLogprobs(Struct, frozen=True, kw_only=True):
    """Four lists with an entry for each token."""

    tokens: list[str]
    token_logprobs: list[float | None]
    """The first token of a prompt has none."""
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]
    """Where each token's text begins, in characters."""


class CompletionChoice(Struct, frozen=True, kw_only=True):
    """One continuation, or in a stream a piece of it."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: FinishReason | None


class Completion(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Continuations, `n` for each prompt; in a stream, a piece of one."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: Usage | None
    system_fingerprint: str
    steering: SteeringReceipt | None = None
    moderation: Moderation | None = None
    attribution: list[ChoiceAttribution] | None = None
    activations: list[ChoiceActivations] | None = None
