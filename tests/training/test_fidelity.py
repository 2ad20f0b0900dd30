from pathlib import Path

import pytest
import torch
from msgspec.structs import replace
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from steersman.cli import main
from steersman_engine.host import HostModel
from steersman_engine.sae import SAE
from steersman_training import fidelity as module
from steersman_training.chats import Chat
from steersman_training.documents import documents
from steersman_training.evaluate import next_token
from steersman_training.evaluation_set import Batch, batches
from steersman_training.fidelity import FidelityWatch
from steersman_training.harvest import HarvestConfig, harvest
from steersman_training.manifest import Manifest
from steersman_training.run_files import read_metrics
from steersman_training.train import train
from steersman_training.train_config import BatchTopK, TrainConfig

NO_SINKS = 1e9
HARVEST = HarvestConfig(source="made up", tokens=1500, max_length=64, batch_tokens=512, shard_tokens=600)
CONFIG = TrainConfig(
    architecture=BatchTopK(k=8),
    d_sae=64,
    num_samples=5000,
    batch_size=100,
    lr=3e-3,
    dead_after=2000,
    dtype="float32",
)


@pytest.fixture
def held(tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat]) -> list[Batch]:
    read = list(documents(chats, "evaluation", tiny_tokenizer, max_length=64, seed=0))
    return list(batches(tiny_host, read, NO_SINKS, batch_tokens=256))


@pytest.fixture
def folder(
    tiny_host: HostModel, tiny_tokenizer: PreTrainedTokenizerFast, chats: list[Chat], tmp_path: Path
) -> Path:
    """A small harvest of the tiny model."""
    harvest(tiny_host, tiny_tokenizer, chats, HARVEST, tmp_path / "harvest")
    return tmp_path / "harvest"


@pytest.fixture
def watched(tiny_host: HostModel, held: list[Batch], folder: Path, tmp_path: Path) -> Path:
    """A run that is measured every 2,000 samples."""
    train(folder, CONFIG, tmp_path / "watched", fidelity=FidelityWatch(tiny_host, held, 2000))
    return tmp_path / "watched"


def test_fidelity_is_measured_every_so_many_samples_and_at_the_end(watched: Path) -> None:
    assert [line.samples for line in read_metrics(watched) if line.fidelity is not None] == [2000, 4000, 5000]


def test_the_last_fidelity_is_what_evaluation_finds(
    tiny_host: HostModel, held: list[Batch], watched: Path
) -> None:
    sae = SAE.load(watched / "sae.safetensors", "cpu")
    expected = next_token(tiny_host, held, sae)["all"].fidelity_zero
    assert read_metrics(watched)[-1].fidelity == pytest.approx(expected, abs=5e-3)  # the file is float16


def test_measuring_changes_nothing_that_is_learnt(watched: Path, folder: Path, tmp_path: Path) -> None:
    train(folder, CONFIG, tmp_path / "alone")
    assert (watched / "sae.safetensors").read_bytes() == (tmp_path / "alone/sae.safetensors").read_bytes()


def test_a_harvest_of_another_model_is_refused(
    tiny_model: LlamaForCausalLM,
    tiny_tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    tmp_path: Path,
) -> None:
    with torch.no_grad():
        tiny_model.model.embed_tokens.weight.mul_(1.5)
    tiny_model.save_pretrained(tmp_path / "model")
    tiny_tokenizer.save_pretrained(tmp_path / "model")
    manifest = replace(Manifest.load(folder), model=str(tmp_path / "model"))
    with pytest.raises(ValueError, match="other weights"):
        FidelityWatch.open(manifest, 1000, device="cpu", cache=tmp_path)


def test_the_command_measures_what_its_harvest_holds_out(
    tiny_model: LlamaForCausalLM,
    tiny_tokenizer: PreTrainedTokenizerFast,
    chats: list[Chat],
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model, out = tmp_path / "model", tmp_path / "run"
    tiny_model.bfloat16().save_pretrained(model)
    tiny_tokenizer.save_pretrained(model)
    replace(Manifest.load(folder), model=str(model)).save(folder)
    monkeypatch.setattr(module, "read_chats", lambda source, cache: chats)
    given = {"harvest": folder, "out": out, "d-sae": 64, "num-samples": 1024, "fidelity-every": 512}
    given |= {"batch-size": 256}
    main(["train", *(part for name, value in given.items() for part in (f"--{name}", str(value)))])
    assert read_metrics(out)[-1].fidelity is not None


def test_a_number_of_samples_that_is_none_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--harvest", str(folder), "--out", "unused", "--fidelity-every", "0"])
    assert "--fidelity-every is 0" in capsys.readouterr().err
