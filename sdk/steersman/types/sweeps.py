"""One prompt under many sets of edits."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from steersman.notebook import sweep_html
from steersman.types.chat import FinishReason
from steersman.types.messages import AnswerMessage, Conversation
from steersman.types.moderation import Moderation
from steersman.types.sampling import SamplingFields
from steersman.types.steering import Aborts, Edits, SteeringReceipt
from steersman.types.usage import Usage


class SweepRequest(SamplingFields, frozen=True, forbid_unknown_fields=True, omit_defaults=True, kw_only=True):
    """`POST /v1/sweeps`: the same question under each set of edits, with the same seed."""

    messages: Conversation
    sweep: Annotated[tuple[Edits, ...], Meta(min_length=1, max_length=32)]
    """Sets of edits, one for each row; an empty one is the plain model."""
    model: str | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    feature_edits: Edits = ()
    """Made in every row, before the row's own."""
    abort_when: Aborts = ()
    score: bool = False
    """Let the plain model judge each answer: `plain_logprob`."""


class SweepRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One answer."""

    index: int
    message: AnswerMessage
    finish_reason: FinishReason
    completion_tokens: int
    plain_logprob: float | None = None
    """Mean log probability that the model without edits gives the answer's tokens: how far steering has
    taken it from what it would say. Set when asked for with `score`."""
    steering: SteeringReceipt | None = None


class Sweep(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The answers, in the order of the sets."""

    id: str
    object: Literal["sweep"]
    created: int
    model: str
    data: list[SweepRow]
    usage: Usage
    system_fingerprint: str
    moderation: Moderation | None = None

    def _repr_html_(self) -> str:
        return sweep_html(self)
