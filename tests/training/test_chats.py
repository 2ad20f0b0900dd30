import json
from pathlib import Path

import pytest

from steersman_training.chats import Chat, read_chats
from steersman_training.sources.lines import whole_records

HELLO = {"role": "user", "content": "Hello"}


def write_lines(path: Path, *records: object) -> str:
    path.write_text("\n".join(json.dumps(record) for record in records))
    return str(path)


def test_a_cut_off_array_is_read_up_to_its_last_whole_record() -> None:
    text = json.dumps([{"id": "a", "text": "}{"}, {"id": "b"}, {"id": "c", "text": "long"}])
    assert [record["id"] for record in whole_records(text[:-8])] == ["a", "b"]


def test_a_whole_array_is_read_whole() -> None:
    assert list(whole_records(json.dumps([{"a": 1}, {"b": {"c": 2}}]))) == [{"a": 1}, {"b": {"c": 2}}]


def test_all_parts_of_a_conversation_are_in_one_split() -> None:
    for name in ("QWJhYvA", "i6IyJda", "A5AbcES"):
        assert len({Chat(f"{name}_{part}", [HELLO]).split for part in range(50)}) == 1


def test_splits_have_their_shares() -> None:
    splits = [Chat(f"conversation{number}_0", [HELLO]).split for number in range(4000)]
    shares = [splits.count(split) / 4000 for split in ("train", "evaluation", "labelling")]
    assert shares == pytest.approx([0.80, 0.05, 0.15], abs=0.02)


def test_sharegpt_roles_become_the_models(tmp_path: Path) -> None:
    turns = [
        {"from": "system", "value": "Be kind."},
        {"from": "human", "value": "Hi"},
        {"from": "gpt", "value": "Ho"},
    ]
    source = write_lines(tmp_path / "chats.jsonl", {"id": "x_0", "conversations": turns})
    (chat,) = read_chats(source, tmp_path)
    assert [message["role"] for message in chat.messages] == ["system", "user", "assistant"]


def test_a_chat_does_not_begin_with_an_answer(tmp_path: Path) -> None:
    answer = {"role": "assistant", "content": "And so on."}
    source = write_lines(tmp_path / "chats.jsonl", {"messages": [answer, HELLO]})
    assert read_chats(source, tmp_path)[0].messages == [HELLO]


def test_repeated_conversations_are_left_out(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "chats.jsonl", {"messages": [HELLO]}, {"messages": [HELLO]})
    assert len(read_chats(source, tmp_path)) == 1


def test_a_record_that_is_no_chat_is_named(tmp_path: Path) -> None:
    source = write_lines(tmp_path / "chats.jsonl", {"messages": [HELLO]}, {"words": "Hello"})
    with pytest.raises(ValueError, match=r"Record 1 of .* has neither turns"):
        read_chats(source, tmp_path)


def test_a_line_that_is_no_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text(json.dumps({"messages": [HELLO]}) + '\n{"messages"')
    with pytest.raises(ValueError, match=r"Record 1 of .* is no JSON"):
        read_chats(str(path), tmp_path)


def test_an_unknown_source_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'nowhere' is neither"):
        read_chats("nowhere", tmp_path)
