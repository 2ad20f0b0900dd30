"""A streamed answer."""

from typing import Literal

from msgspec import Struct

from steersman.types.activations import ChoiceActivations
from steersman.types.attribution import ChoiceAttribution
from steersman.types.chat import FinishReason
from steersman.types.logprobs import ChoiceLogprobs
from steersman.types.moderation import Moderation
from steersman.types.steering import SteeringReceipt
from steersman.types.tools import ToolCallDelta
from steersman.types.usage import Usage


class Delta(Struct, frozen=True, omit_defaults=True):
    """What a chunk adds to the answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    tool_calls: list[ToolCallDelta] | None = None


class ChunkChoice(Struct, frozen=True, kw_only=True):
    """A chunk's part of one choice."""

    index: int
    delta: Delta
    finish_reason: FinishReason | None
    logprobs: ChoiceLogprobs | None


class ChatCompletionChunk(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of a stream.

    Steering comes with the finish of the choice that ends last, attribution in a chunk of its own, with
    no choices, before the usage chunk. Activations come with the text, as soon as they are known.
    """

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None
    system_fingerprint: str
    steering: SteeringReceipt | None = None
    moderation: Moderation | None = None
    attribution: list[ChoiceAttribution] | None = None
    activations: list[ChoiceActivations] | None = None
