import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from steersman_engine.host import HostModel
from steersman_engine.prompt import render
from steersman_training import harvest_job as job_module
from steersman_training import manifest as manifest_module
from steersman_training.chats import Chat
from steersman_training.harvest import HarvestConfig, documents, harvest, plan
from steersman_training.shards import Manifest

CONFIG = HarvestConfig(source="made up", tokens=4000, max_length=64, batch_tokens=512, shard_tokens=600)


def read(folder: Path) -> dict[str, Tensor]:
    shards = [load_file(folder / shard.file) for shard in Manifest.load(folder).shards]
    return {name: torch.cat([shard[name] for shard in shards]) for name in shards[0]}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def with_sinks(tiny_model: LlamaForCausalLM) -> HostModel:
    """A host in which `<|im_start|>` is a sink: a residual hundreds of times as long as others."""
    host = HostModel(tiny_model, 1, name="tiny")
    tiny_model.model.embed_tokens.weight[1] *= 1000
    return host


def test_a_harvest_that_was_killed_and_resumed_equals_one_that_was_not(
    tiny_host: HostModel,
    tiny_tokenizer: PreTrainedTokenizerFast,
    chats: list[Chat],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harvest(tiny_host, tiny_tokenizer, chats, CONFIG, tmp_path / "whole")
    residual, calls = HostModel.residual, 0

    def dies(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls > 12:
            raise KeyboardInterrupt
        return residual(*args, **kwargs)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(HostModel, "residual", dies)
        harvest(tiny_host, tiny_tokenizer, chats, CONFIG, tmp_path / "resumed")
    assert 0 < Manifest.load(tmp_path / "resumed").tokens < CONFIG.tokens
    harvest(tiny_host, tiny_tokenizer, chats, CONFIG, tmp_path / "resumed")
    assert contents(tmp_path / "resumed") == contents(tmp_path / "whole")


def test_stored_residuals_are_those_of_plain_transformers(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tmp_path: Path
) -> None:
    harvest(tiny_host, tiny_tokenizer, chats, CONFIG, tmp_path)
    stored = read(tmp_path)
    rows = documents(chats, "train", tiny_tokenizer, max_length=64, seed=0)
    for document in (next(rows) for _ in range(5)):
        ids = torch.tensor([document.prompt.token_ids])
        expected = tiny_host.model(ids, output_hidden_states=True).hidden_states[tiny_host.layer + 1][0]
        here = stored["document"] == document.index
        position = stored["position"][here].long()
        assert torch.equal(stored["token"][here], ids[0, position].int())
        torch.testing.assert_close(stored["resid"][here], expected[position].bfloat16())


def test_no_attention_sink_is_stored(
    with_sinks: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tmp_path: Path
) -> None:
    manifest = harvest(with_sinks, tiny_tokenizer, chats, CONFIG, tmp_path)
    stored = read(tmp_path)
    assert stored["resid"].float().norm(dim=-1).max() <= manifest.sink_norm
    assert not (stored["token"] == 1).any()


def test_all_other_tokens_of_a_document_are_stored_once(
    with_sinks: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tmp_path: Path
) -> None:
    harvest(with_sinks, tiny_tokenizer, chats, CONFIG, tmp_path)
    stored = read(tmp_path)
    first = next(documents(chats, "train", tiny_tokenizer, max_length=64, seed=0))
    expected = [position for position, token in enumerate(first.prompt.token_ids) if token != 1]
    assert sorted(stored["position"][stored["document"] == 0].tolist()) == expected


def test_tokens_of_many_documents_are_shuffled_together(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tmp_path: Path
) -> None:
    harvest(tiny_host, tiny_tokenizer, chats, CONFIG, tmp_path)
    assert read(tmp_path)["document"][:50].unique().numel() > 10


def test_only_training_chats_are_harvested(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tmp_path: Path
) -> None:
    config = replace(CONFIG, tokens=1_000_000)  # more than there are
    harvest(tiny_host, tiny_tokenizer, chats, config, tmp_path)
    training = [chat for chat in chats if chat.split == "train"]
    expected = sum(min(64, len(render(tiny_tokenizer, chat.messages, generate=False))) for chat in training)
    assert len(read(tmp_path)["token"]) == expected


def test_another_harvest_is_not_mixed_in(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tmp_path: Path
) -> None:
    harvest(tiny_host, tiny_tokenizer, chats, CONFIG, tmp_path)
    with pytest.raises(ValueError, match="holds a harvest with seed 0, not 1"):
        harvest(tiny_host, tiny_tokenizer, chats, replace(CONFIG, seed=1), tmp_path)


def test_a_disk_that_is_too_small_is_found_before_the_work(
    tiny_host: HostModel,
    tiny_tokenizer: PreTrainedTokenizerFast,
    chats: list[Chat],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(job_module, "free_bytes", lambda folder: 100_000)
    with pytest.raises(ValueError, match=r"has 0\.1 MB free; the harvest needs 0\.3 MB"):
        harvest(tiny_host, tiny_tokenizer, chats, CONFIG, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_several_layers_come_from_one_pass_and_their_rows_are_the_same_tokens(
    with_sinks: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tmp_path: Path
) -> None:
    harvest(with_sinks, tiny_tokenizer, chats, replace(CONFIG, layers=(0, 2)), tmp_path)
    low, high = read(tmp_path / "layer-00"), read(tmp_path / "layer-02")
    for column in ("document", "position", "token", "role", "kind"):
        assert torch.equal(low[column], high[column])
    whole = with_sinks.model(
        torch.tensor([document_ids(tiny_tokenizer, chats, 0)]), output_hidden_states=True
    ).hidden_states
    here = high["document"] == 0
    position = high["position"][here].long()
    torch.testing.assert_close(low["resid"][here], whole[1][0, position].bfloat16())
    torch.testing.assert_close(high["resid"][here], whole[3][0, position].bfloat16())


def document_ids(tokenizer: PreTrainedTokenizerFast, chats: list[Chat], index: int) -> tuple[int, ...]:
    return next(documents(chats, "train", tokenizer, max_length=64, seed=0, start=index)).prompt.token_ids


def test_a_harvest_is_as_long_as_was_asked(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tmp_path: Path
) -> None:
    found = harvest(tiny_host, tiny_tokenizer, chats, replace(CONFIG, shard_tokens=200), tmp_path)
    assert found.tokens == pytest.approx(CONFIG.tokens, rel=0.1)


def test_a_longer_harvest_begins_with_the_shorter(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tmp_path: Path
) -> None:
    short = harvest(tiny_host, tiny_tokenizer, chats, replace(CONFIG, tokens=2000), tmp_path)
    longer = harvest(tiny_host, tiny_tokenizer, chats, CONFIG, tmp_path)
    assert longer.shards[: len(short.shards)] == short.shards
    assert longer.tokens > short.tokens


@pytest.mark.parametrize("damage", ["truncated", "removed"])
def test_a_shard_that_is_damaged_is_made_again(
    tiny_host: HostModel,
    tiny_tokenizer: PreTrainedTokenizerFast,
    chats: list[Chat],
    tmp_path: Path,
    damage: str,
) -> None:
    harvest(tiny_host, tiny_tokenizer, chats, CONFIG, tmp_path)
    before, path = contents(tmp_path), tmp_path / "shard-00002.safetensors"
    path.unlink() if damage == "removed" else os.truncate(path, 5000)
    harvest(tiny_host, tiny_tokenizer, chats, CONFIG, tmp_path)
    assert contents(tmp_path) == before


def test_a_full_disk_says_so_and_the_harvest_goes_on_when_there_is_room(
    tiny_host: HostModel,
    tiny_tokenizer: PreTrainedTokenizerFast,
    chats: list[Chat],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    harvest(tiny_host, tiny_tokenizer, chats, CONFIG, tmp_path / "whole")
    write, written = manifest_module.save_file, []

    def full(tensors, path):
        written.append(path)
        if len(written) == 4:
            Path(path).write_bytes(b"half of it")
            raise SafetensorError("I/O error: No space left on device (os error 28)")
        write(tensors, path)

    with monkeypatch.context() as patched, pytest.raises(OSError, match=r"is full\. Make room"):
        patched.setattr(manifest_module, "save_file", full)
        harvest(tiny_host, tiny_tokenizer, chats, CONFIG, tmp_path / "full")
    assert not list((tmp_path / "full").glob("*.part"))
    assert 0 < len(Manifest.load(tmp_path / "full").shards) < 4
    harvest(tiny_host, tiny_tokenizer, chats, CONFIG, tmp_path / "full")
    assert contents(tmp_path / "full") == contents(tmp_path / "whole")


def test_a_plan_writes_nothing(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tmp_path: Path
) -> None:
    found = plan(tiny_host, tiny_tokenizer, chats, CONFIG, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    written = harvest(tiny_host, tiny_tokenizer, chats, CONFIG, tmp_path / "out")
    assert found.tokens == pytest.approx(written.tokens, rel=0.1)
    size = sum(path.stat().st_size for path in (tmp_path / "out").glob("shard-*"))
    assert found.bytes == pytest.approx(size, rel=0.15)
    assert "tokens/s" in str(found)


def test_the_residual_of_a_layer_that_does_not_exist_is_refused(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="no layer 9"):
        harvest(tiny_host, tiny_tokenizer, chats, replace(CONFIG, layers=(1, 9)), tmp_path)
