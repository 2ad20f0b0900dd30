"""The wire, once, for both sides: what a request may say and what an answer holds.

Requests refuse fields they do not know, because a misspelt edit that is silently dropped is an
unsteered answer. Answers ignore them, because a newer server may say more.

A field without a default is always sent, as null if need be; one with a default is left out when
it holds that default.
"""

from typing import Any

from steersman.types.activations import (
    ActivationOptions,
    ChoiceActivations,
    FeatureActivation,
    TokenActivations,
)
from steersman.types.attribution import (
    Aggregate,
    AttributionOptions,
    ChoiceAttribution,
    ContrastTarget,
    FeatureAttribution,
    Method,
    Sign,
    Target,
    TokenAttribution,
)
from steersman.types.chat import ChatCompletion, ChatRequest, Choice, FinishReason, StreamOptions
from steersman.types.chunks import ChatCompletionChunk, ChunkChoice, Delta
from steersman.types.completions import (
    Completion,
    CompletionChoice,
    CompletionLogprobs,
    CompletionRequest,
    TokenId,
)
from steersman.types.conditions import Condition, FeatureIndex, Operator, Unit
from steersman.types.dashboards import (
    FeatureDashboard,
    FeatureLabel,
    LabelScore,
    ModerationNote,
    NeighborFeature,
    TokenLogit,
)
from steersman.types.errors import ErrorEnvelope, ErrorObject
from steersman.types.features import Example, Feature, FeaturePage
from steersman.types.inspection import (
    AttributeRequest,
    AttributionResult,
    Contrast,
    ContrastedFeature,
    ContrastRequest,
    InspectedActivation,
    InspectedFeature,
    InspectedToken,
    Inspection,
    InspectRequest,
    LogitsRequest,
    NextToken,
    NextTokens,
    Pooling,
    TopK,
)
from steersman.types.logprobs import ChoiceLogprobs, TokenAlternative, TokenLikelihood
from steersman.types.lookups import (
    FeatureGroup,
    FeatureLookup,
    FeatureMap,
    Indices,
    MapPoint,
    NeighborsRequest,
    RerankRequest,
    SearchMode,
    Space,
)
from steersman.types.messages import (
    AnswerMessage,
    Conversation,
    Message,
    MessageLike,
    Messages,
    RefusalPart,
    Role,
    TextPart,
)
from steersman.types.models import Health, Model, ModelList
from steersman.types.moderation import Moderation, ModerationFailure, ModerationResult, ModerationResults
from steersman.types.response_format import (
    JsonObjectFormat,
    JsonSchema,
    JsonSchemaFormat,
    ResponseFormat,
    TextFormat,
)
from steersman.types.sampling import SamplingFields, Stop
from steersman.types.steering import (
    AbortReport,
    Aborts,
    AppliedEdit,
    Edits,
    FeatureEdit,
    Mode,
    Phase,
    SteeringReceipt,
)
from steersman.types.sweeps import Sweep, SweepRequest, SweepRow
from steersman.types.tokens import Detokenized, DetokenizeRequest, TokenizeRequest, TokenizerInfo, Tokens
from steersman.types.usage import Usage
from steersman.types.variants import Deleted, Variant, VariantImport, VariantList, VariantName, VariantRequest

JSON = dict[str, Any]
EditLike = FeatureEdit | JSON

__all__ = [
    "JSON",
    "AbortReport",
    "Aborts",
    "ActivationOptions",
    "Aggregate",
    "AnswerMessage",
    "AppliedEdit",
    "AttributeRequest",
    "AttributionOptions",
    "AttributionResult",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatRequest",
    "Choice",
    "ChoiceActivations",
    "ChoiceAttribution",
    "ChoiceLogprobs",
    "ChunkChoice",
    "Completion",
    "CompletionChoice",
    "CompletionLogprobs",
    "CompletionRequest",
    "Condition",
    "Contrast",
    "ContrastRequest",
    "ContrastTarget",
    "ContrastedFeature",
    "Conversation",
    "Deleted",
    "Delta",
    "DetokenizeRequest",
    "Detokenized",
    "EditLike",
    "Edits",
    "ErrorEnvelope",
    "ErrorObject",
    "Example",
    "Feature",
    "FeatureActivation",
    "FeatureAttribution",
    "FeatureDashboard",
    "FeatureEdit",
    "FeatureGroup",
    "FeatureIndex",
    "FeatureLabel",
    "FeatureLookup",
    "FeatureMap",
    "FeaturePage",
    "FinishReason",
    "Health",
    "Indices",
    "InspectRequest",
    "InspectedActivation",
    "InspectedFeature",
    "InspectedToken",
    "Inspection",
    "JsonObjectFormat",
    "JsonSchema",
    "JsonSchemaFormat",
    "LabelScore",
    "LogitsRequest",
    "MapPoint",
    "Message",
    "MessageLike",
    "Messages",
    "Method",
    "Mode",
    "Model",
    "ModelList",
    "Moderation",
    "ModerationFailure",
    "ModerationNote",
    "ModerationResult",
    "ModerationResults",
    "NeighborFeature",
    "NeighborsRequest",
    "NextToken",
    "NextTokens",
    "Operator",
    "Phase",
    "Pooling",
    "RefusalPart",
    "RerankRequest",
    "ResponseFormat",
    "Role",
    "SamplingFields",
    "SearchMode",
    "Sign",
    "Space",
    "SteeringReceipt",
    "Stop",
    "StreamOptions",
    "Sweep",
    "SweepRequest",
    "SweepRow",
    "Target",
    "TextFormat",
    "TextPart",
    "TokenActivations",
    "TokenAlternative",
    "TokenAttribution",
    "TokenId",
    "TokenLikelihood",
    "TokenLogit",
    "TokenizeRequest",
    "TokenizerInfo",
    "Tokens",
    "TopK",
    "Unit",
    "Usage",
    "Variant",
    "VariantImport",
    "VariantList",
    "VariantName",
    "VariantRequest",
]
