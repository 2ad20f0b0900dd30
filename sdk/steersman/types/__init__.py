"""The wire, once, for both sides: what a request may say and what an answer holds.

Requests refuse fields they do not know, because a misspelt edit that is silently dropped is an
unsteered answer. Answers ignore them, because a newer server may say more.

A field without a default is always sent, as null if need be; one with a default is left out when
it holds that default.
"""

from collections.abc import Sequence
from typing import Any

from steersman.types.attribution import (
    AttributionOptions,
    ChoiceAttribution,
    ContrastTarget,
    FeatureAttribution,
    Method,
    TokenAttribution,
)
from steersman.types.chat import ChatCompletion, ChatRequest, Choice, FinishReason, StreamOptions, Usage
from steersman.types.chunks import ChatCompletionChunk, ChunkChoice, Delta
from steersman.types.errors import ErrorEnvelope, ErrorObject
from steersman.types.features import Example, Feature, FeaturePage
from steersman.types.messages import AnswerMessage, Message, Role, TextPart
from steersman.types.models import Health, Model, ModelList
from steersman.types.steering import AppliedEdit, FeatureEdit, FeatureIndex, Mode, Phase, SteeringReceipt

JSON = dict[str, Any]
MessageLike = Message | AnswerMessage | JSON
EditLike = FeatureEdit | JSON
Messages = Sequence[MessageLike]

__all__ = [
    "JSON",
    "AnswerMessage",
    "AppliedEdit",
    "AttributionOptions",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatRequest",
    "Choice",
    "ChoiceAttribution",
    "ChunkChoice",
    "ContrastTarget",
    "Delta",
    "EditLike",
    "ErrorEnvelope",
    "ErrorObject",
    "Example",
    "Feature",
    "FeatureAttribution",
    "FeatureEdit",
    "FeatureIndex",
    "FeaturePage",
    "FinishReason",
    "Health",
    "Message",
    "MessageLike",
    "Messages",
    "Method",
    "Mode",
    "Model",
    "ModelList",
    "Phase",
    "Role",
    "SteeringReceipt",
    "StreamOptions",
    "TextPart",
    "TokenAttribution",
    "Usage",
]
