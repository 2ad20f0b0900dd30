"""A conversation, or a plain text, and which split it belongs to."""

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "evaluation", "labelling"]
SPLIT_PERCENT: dict[Split, int] = {"train": 80, "evaluation": 5, "labelling": 15}
_PART = re.compile(r"(.{7})_\d+")  # ShareGPT cuts long conversations: QWJhYvA_0, QWJhYvA_7


@dataclass(frozen=True, slots=True)
class Chat:
    """One conversation; `id` is unique in its source."""

    id: str
    messages: list[dict[str, str]]
    plain: bool = False
    """Its one message is a text that no chat template goes around."""

    @property
    def split(self) -> Split:
        """By hash of the conversation, so all parts of a long one (`QWJhYvA_0`, `_7`) stay together."""
        return split_of(conversation_of(self.id))

    @property
    def characters(self) -> int:
        """How long its messages are together."""
        return sum(len(message["content"]) for message in self.messages)


def conversation_of(chat: str) -> str:
    """Of what conversation a chat is, or is a part, by its id."""
    part = _PART.fullmatch(chat)
    return part[1] if part else chat


def split_of(conversation: str) -> Split:
    """The split that a conversation's id falls into."""
    percent = int.from_bytes(hashlib.sha256(conversation.encode()).digest()[:8], "big") % 100
    for split, share in SPLIT_PERCENT.items():
        if percent < share:
            return split
        percent -= share
    raise AssertionError("Splits add up to 100 percent.")
