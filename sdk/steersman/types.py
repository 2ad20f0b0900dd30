"""The wire, once, for both sides: what a request may say and what an answer holds.

Requests refuse fields they do not know, because a misspelt edit that is silently dropped is an
unsteered answer. Answers ignore them, because a newer server may say more.

A field without a default is always sent, as null if need be; one with a default is left out when
it holds that default.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Role = Literal["system", "user", "assistant"]
Mode = Literal["set", "add", "scale"]
Phase = Literal["all", "prompt", "generation"]
Method = Literal["gradient", "gradient_x_activation"]
FinishReason = Literal["stop", "length", "content_filter"]

FeatureIndex = Annotated[int, Meta(ge=0, description="Index of the feature in its SAE.")]


# --- requests ------------------------------------------------------------------------------------


class FeatureEdit(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Move one SAE feature at every position in scope; the SAE's error term stays as it is."""

    feature: FeatureIndex
    strength: float
    """In units of the feature's h_max for `set` and `add` (see `unit`); a plain factor for `scale`."""
    mode: Mode = "set"
    """`set` makes the feature `strength`, `add` adds it, `scale` multiplies by it (0 ablates)."""
    unit: Literal["h_max", "raw"] = "h_max"
    """`raw`: `strength` is a length in the residual stream instead. Not for `scale`."""
    phase: Phase = "all"
    """Whether tokens of the prompt, of the answer, or both are edited."""
    roles: tuple[Role, ...] | None = None
    """Only prompt tokens of messages with one of these roles. Needs a phase that has a prompt."""


class ContrastTarget(Struct, frozen=True, forbid_unknown_fields=True):
    """Explain the chosen token's logit minus this token's logit."""

    token: str
    """Text that is exactly one token of the model."""


class AttributionOptions(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Ask which features push an answer's tokens."""

    tokens: Literal["all"] | tuple[Annotated[int, Meta(ge=0)], ...] = "all"
    """Which tokens of the answer to explain, by index."""
    top_k: Annotated[int, Meta(ge=1, le=100)] = 10
    """Features a token, largest absolute attribution first."""
    target: Literal["logit_minus_mean"] | ContrastTarget = "logit_minus_mean"
    method: Method = "gradient"
    """`gradient`: what would push the token further, fired or not. `gradient_x_activation`: what
    the model used."""
    aggregate: Literal["sum"] = "sum"
    """Over positions."""


class TextPart(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="text"):
    """A text part of a message."""

    text: str


class Message(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One message of a conversation."""

    role: Literal["developer", "system", "user", "assistant"]
    content: str | tuple[TextPart, ...]
    name: str | None = None
    refusal: None = None
    """So that an answer's message can be sent back as it came."""

    @property
    def text(self) -> str:
        """The content as one string."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content)


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


# --- answers -------------------------------------------------------------------------------------


class FeatureAttribution(Struct, frozen=True):
    """How much one feature pushes one token."""

    feature: int
    label: str
    attribution: float
    """Summed over positions: objective per unit of activation, or objective for
    `gradient_x_activation`."""
    activation: float
    """The feature's largest activation over those positions, after edits; 0 where it did not fire."""
    h_max: float


class TokenAttribution(Struct, frozen=True):
    """The features behind one token of an answer."""

    index: int
    token: str
    objective: float
    """The explained quantity: a difference of logits."""
    features: list[FeatureAttribution]


class ChoiceAttribution(Struct, frozen=True):
    """The attribution of one choice."""

    choice: int
    method: Method
    target: Literal["logit_minus_mean"] | ContrastTarget
    tokens: list[TokenAttribution]


class AppliedEdit(Struct, frozen=True):
    """What one edit really did."""

    feature: int
    label: str
    mode: Mode
    strength: float
    unit: Literal["h_max", "raw"]
    mul: float
    add: float
    """The edit as an affine map of the activation, `mul * h + add`, in residual units."""
    tokens_edited: int
    mean_activation_before: float
    """Over the tokens edited, in residual units; 0 when there are none."""


class SteeringReceipt(Struct, frozen=True):
    """The edits that made an answer, as they were carried out."""

    bundle: str
    edits: list[AppliedEdit]


class Usage(Struct, frozen=True):
    """Token counts."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(Struct, frozen=True, kw_only=True):
    """The model's answer."""

    role: Literal["assistant"]
    content: str
    refusal: str | None


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


class Example(Struct, frozen=True):
    """A piece of a real chat around the place where a feature fired."""

    document: str
    role: str
    """Of the message that holds the token of `peak`."""
    tokens: list[str]
    activations: list[float]
    """One a token, in residual units."""
    peak: int
    """Index in `tokens` of the position this example stands for."""
    stratum: int
    """Fifth of the activation range, 0 lowest to 4 highest; the feature's maximum is in 4."""


class Feature(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One feature of the SAE, as the catalogue knows it."""

    index: int
    label: str
    label_kind: str
    """Who made the label. `statistical`: counted words, not understanding; `few_firings`: the same, of
    a feature too rare to trust it; `never_fired`: there was nothing to count."""
    h_max: float
    """Largest activation in the labelled data set, in residual units; 0 if it never fired."""
    density: float
    """Share of tokens on which it fires."""
    score: float | None = None
    """How well the feature matches a search, higher is better; set by a search only."""
    examples: list[Example] = []
    """Set when one feature is asked for."""


class FeaturePage(Struct, frozen=True, kw_only=True):
    """A page of features; pass `last_id` as `after` for the next."""

    object: Literal["list"]
    data: list[Feature]
    has_more: bool
    first_id: str | None
    last_id: str | None


class Model(Struct, frozen=True, kw_only=True):
    """A model the server answers for."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    bundle: str
    layer: int
    d_sae: int
    max_model_len: int


class ModelList(Struct, frozen=True, kw_only=True):
    """All models the server answers for."""

    object: Literal["list"]
    data: list[Model]


class Health(Struct, frozen=True, kw_only=True):
    """The server is up and its self-test has passed."""

    status: Literal["ok"]
    version: str
    model: str
    bundle: str


class ErrorObject(Struct, frozen=True, kw_only=True):
    """What went wrong, in OpenAI's form."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(Struct, frozen=True):
    """The body of every answer that is not 2xx."""

    error: ErrorObject


JSON = dict[str, Any]
MessageLike = Message | AnswerMessage | JSON
EditLike = FeatureEdit | JSON
Messages = Sequence[MessageLike]
