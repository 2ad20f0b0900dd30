"""Messages of a conversation."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from steersman.types.tools import ToolCall

Role = Literal["system", "user", "assistant"]


class TextPart(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="text"):
    """A text part of a message."""

    text: str


class RefusalPart(Struct, frozen=True, forbid_unknown_fields=True, tag_field="type", tag="refusal"):
    """A part of an assistant's message that says no."""

    refusal: str

    @property
    def text(self) -> str:
        """What it says."""
        return self.refusal


class Message(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One message of a conversation.

    The fields at the end are there so that an answer's message can be sent back as it came.
    """

    role: Literal["developer", "system", "user", "assistant", "tool"]
    """`tool`, for what a tool answered, needs a model whose chat template knows tools."""
    content: str | tuple[TextPart | RefusalPart, ...] | None = None
    """May only be left out beside `tool_calls`."""
    name: Annotated[str, Meta(max_length=64)] | None = None
    refusal: str | None = None
    annotations: tuple[()] | None = None
    audio: None = None
    function_call: None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    """What the assistant called; a message of the role `tool` has to follow for each."""
    tool_call_id: str | None = None
    """Of a message of the role `tool`: the call that it answers to."""

    def __post_init__(self) -> None:
        if self.content is None and not self.tool_calls:
            raise ValueError("Object missing required field `content`")  # as msgspec says it

    @property
    def text(self) -> str:
        """The content as one string."""
        if isinstance(self.content, str):
            return self.content
        return "".join(part.text for part in self.content or ())


Conversation = Annotated[tuple[Message, ...], Meta(min_length=1)]


class AnswerMessage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The model's answer."""

    role: Literal["assistant"]
    content: str | None
    """None where the model wrote nothing but `tool_calls`."""
    refusal: str | None
    tool_calls: list[ToolCall] | None = None
    """What the model called, if anything."""


MessageLike = Message | AnswerMessage | dict[str, Any]
Messages = Sequence[MessageLike]
