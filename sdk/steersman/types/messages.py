"""Messages of a conversation."""

from typing import Literal

from msgspec import Struct

Role = Literal["system", "user", "assistant"]


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


class AnswerMessage(Struct, frozen=True, kw_only=True):
    """The model's answer."""

    role: Literal["assistant"]
    content: str
    refusal: str | None
