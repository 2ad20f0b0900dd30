"""A streamed answer."""

from typing import Literal

from msgspec import Struct

from steersman.types.attribution import ChoiceAttribution
from steersman.types.chat import FinishReason, Usage
from steersman.types.steering import SteeringReceipt


class Delta(Struct, frozen=True, omit_defaults=True):
    """What a chunk adds to the answer."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(Struct, frozen=True, kw_only=True):
    """A chunk's part of one choice."""

    index: int
    delta: Delta
    finish_reason: FinishReason | None
    logprobs: None


class ChatCompletionChunk(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event of a stream.

    Steering and attribution come in one chunk of their own, with no choices, after the finish
    chunk and before the usage chunk.
    """

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None
    system_fingerprint: str
    steering: SteeringReceipt | None = None
    attribution: list[ChoiceAttribution] | None = None
