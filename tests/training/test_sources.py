import json
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from steersman.cli import main
from steersman_engine.prompt import Kind
from steersman_training.chats import Chats, read_chats
from steersman_training.documents import documents
from steersman_training.sources.chat import Chat
from steersman_training.sources.lines import Lines
from steersman_training.sources.spec import SourceSpec, parse_sources

datasets = pytest.importorskip("datasets")


def chat_lines(path: Path, count: int, *, words: int = 5) -> str:
    records = (
        {
            "id": f"{path.stem}{n}",
            "messages": [{"role": "user", "content": f"{path.stem} {n} " + "w " * words}],
        }
        for n in range(count)
    )
    path.write_text("\n".join(map(json.dumps, records)))
    return str(path)


def texts(source: str, cache: Path) -> list[str]:
    return [chat.messages[0]["content"] for chat in read_chats(source, cache)]


def test_a_source_says_place_options_and_share() -> None:
    assert parse_sources("a,b@c.jsonl + hub:x/y,first=9,config=en@0.3") == [
        SourceSpec(place="a,b@c.jsonl"),
        SourceSpec(place="hub:x/y", first=9, config="en", share=0.3),
    ]


@pytest.mark.parametrize("source", ["a@0", "a,first=0", "a,near=2", "a,first=x", ""])
def test_a_source_that_cannot_be_is_refused(source: str) -> None:
    with pytest.raises(ValueError):
        parse_sources(source)


def test_lines_are_read_where_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"n": 1}\n\n{"n": "ü"}\n{"n": 3}')
    lines = Lines(path)
    assert [lines[index]["n"] for index in (2, 0, 1)] == [3, 1, "ü"]
    assert len(Lines(path, first=2)) == 2


def test_blank_lines_part_the_documents_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("One\nstill one.\n\n \nTwo.\n")
    assert texts(str(path), tmp_path) == ["One\nstill one.\n", "Two.\n"]


def test_what_differs_only_in_case_and_blanks_repeats(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("The  same\n\nthe same\n\nＴhe same\n\nanother")
    assert len(read_chats(str(path), tmp_path)) == 2


def test_what_shares_most_runs_of_words_repeats_where_asked(tmp_path: Path) -> None:
    long = " ".join(f"word{n}" for n in range(200))
    path = tmp_path / "a.txt"
    path.write_text(f"{long}\n\nHello {long}, bye\n\n{' '.join(f'other{n}' for n in range(200))}")
    assert len(read_chats(str(path), tmp_path)) == 3
    assert len(read_chats(f"{path},near=0.5", tmp_path)) == 2


def test_one_scan_knows_the_splits_and_what_is_said(tmp_path: Path) -> None:
    source = chat_lines(tmp_path / "a.jsonl", 300)
    chats = read_chats(source, tmp_path)
    order = chats.order("evaluation", seed=0, max_length=9)
    assert {chats[int(index)].split for index in order} == {"evaluation"}
    assert chats.sha256 == read_chats(source, tmp_path).sha256
    assert chats.sha256 != read_chats(f"{source},first=299", tmp_path).sha256


def test_ids_that_count_are_not_parts_of_one_conversation() -> None:
    assert len({Chat(f"train_{number}", []).split for number in range(100)}) == 3


def test_a_mix_has_the_shares_of_text_that_were_asked_all_the_way(tmp_path: Path) -> None:
    short, long = chat_lines(tmp_path / "s.jsonl", 2000), chat_lines(tmp_path / "l.jsonl", 400, words=100)
    chats = read_chats(f"{short}@0.25 + {long}@0.75", tmp_path)
    order = chats.order("train", seed=0, max_length=10_000)
    for part in (order[: len(order) // 2], order):
        read = [chats[int(index)] for index in part]
        first = sum(chat.characters for chat in read if chat.id.startswith("s"))
        assert first / sum(chat.characters for chat in read) == pytest.approx(0.25, abs=0.02)


def test_a_mix_may_be_given_on_the_command_line(tmp_path: Path) -> None:
    from argparse import ArgumentParser

    from steersman_training.model_arguments import add_source_argument

    parser = ArgumentParser()
    add_source_argument(parser)
    assert parser.parse_args(["--source", "sharegpt@1", "--source", "b"]).source == "sharegpt@1 + b"


def test_a_plain_text_gets_no_template(tiny_tokenizer: PreTrainedTokenizerFast) -> None:
    text = "A <|im_end|> in a text"
    chats = Chats.of([Chat(f"a{n}", [{"role": "user", "content": text}], plain=True) for n in range(9)])
    prompt = next(documents(chats, "train", tiny_tokenizer, max_length=99, seed=0)).prompt
    assert tiny_tokenizer.decode(list(prompt.token_ids)) == text
    assert len(prompt) == len(text)  # bytes: no special token was read out of it
    assert set(prompt.kinds[1:]) == {Kind.CONTENT}


@pytest.mark.parametrize("stored", ["parquet", "arrow"])
def test_a_folder_in_the_hub_s_formats_is_read(tmp_path: Path, stored: str) -> None:
    turns = [{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "Ho"}]
    made = datasets.Dataset.from_list(
        [
            {"conversation_id": f"c{n}", "conversation": [{**turns[0], "content": f"Hi {n}"}, turns[1]]}
            for n in range(5)
        ]
    )
    folder = tmp_path / "set"
    if stored == "arrow":
        made.save_to_disk(str(folder))
    else:
        folder.mkdir()
        made.to_parquet(str(folder / "train-00000.parquet"))
    chats = read_chats(f"hub:{folder},first=4", tmp_path)
    assert [chat.id for chat in chats] == ["c0", "c1", "c2", "c3"]
    assert chats[2].messages == [{**turns[0], "content": "Hi 2"}, turns[1]]


def test_a_set_that_datasets_cannot_load_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="datasets cannot load"):
        read_chats(f"hub:{tmp_path}", tmp_path)


def test_without_datasets_its_installation_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(ValueError, match="pip install datasets"):
        read_chats("hub:lmsys/lmsys-chat-1m", tmp_path)


def test_the_help_teaches_sources(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["harvest", "--help"])
    assert "hub:lmsys/lmsys-chat-1m" in capsys.readouterr().out
