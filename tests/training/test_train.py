import json
import os
import signal
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from steersman_engine.sae import SAE
from steersman_training import train as module
from steersman_training.recipes import RECIPES, TrainConfig
from steersman_training.shards import Manifest, batches
from steersman_training.train import Trainer, train

CONFIG = TrainConfig(
    d_sae=64,
    k=4,
    num_samples=100 * 120,
    batch_size=100,
    lr=3e-3,
    dead_after=1500,
    threshold_decay=0.8,
    dtype="float32",
)


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_EVERY", 10)
    monkeypatch.setattr(module, "CHECKPOINT_EVERY", 50)


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch, number: signal.Signals = signal.SIGTERM) -> None:
    learn = Trainer.learn

    def learn_then_stop(self, resid):
        made = learn(self, resid)
        if self.step == step:
            os.kill(os.getpid(), number)
        return made

    monkeypatch.setattr(Trainer, "learn", learn_then_stop)


def metrics(out: Path) -> list[dict]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "tokens_per_s"} for line in lines]


@pytest.fixture
def whole(random_harvest: Path, tmp_path: Path) -> Path:
    """A run that nothing stopped."""
    train(random_harvest, CONFIG, tmp_path / "whole")
    return tmp_path / "whole"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_run_that_was_stopped_and_resumed_ends_with_the_same_bits(
    whole: Path,
    random_harvest: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    with monkeypatch.context() as patched:
        stop_at(73, patched, number)
        assert train(random_harvest, CONFIG, tmp_path / "resumed") is None
    assert train(random_harvest, CONFIG, tmp_path / "resumed") is not None
    for name, tensor in SAE.load(whole / "sae.safetensors").state_dict().items():
        assert torch.equal(tensor, SAE.load(tmp_path / "resumed" / "sae.safetensors").state_dict()[name])
    assert metrics(tmp_path / "resumed") == metrics(whole)


def test_a_run_that_was_killed_goes_on_from_its_last_checkpoint(
    whole: Path, random_harvest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched, pytest.raises(MemoryError):
        learn = Trainer.learn
        patched.setattr(Trainer, "learn", _dying(learn))
        train(random_harvest, CONFIG, tmp_path / "resumed")
    train(random_harvest, CONFIG, tmp_path / "resumed")
    assert metrics(tmp_path / "resumed") == metrics(whole)


def _dying(learn):
    def dies(self, resid):
        if self.step == 73:
            raise MemoryError
        return learn(self, resid)

    return dies


def test_another_configuration_does_not_go_on_from_a_checkpoint(
    random_harvest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_at(20, patched)
        train(random_harvest, CONFIG, tmp_path / "run")
    with pytest.raises(ValueError, match="another configuration or harvest"):
        train(random_harvest, replace(CONFIG, k=5), tmp_path / "run")


def test_a_finished_run_is_not_overwritten(whole: Path, random_harvest: Path) -> None:
    with pytest.raises(ValueError, match="holds a finished run"):
        train(random_harvest, CONFIG, whole)


def test_the_saved_sae_explains_most_of_the_raw_residual_stream(whole: Path, random_harvest: Path) -> None:
    stream = batches(random_harvest, Manifest.load(random_harvest), batch_size=320, seed=9)
    x = next(stream).float()
    missed = (SAE.load(whole / "sae.safetensors")(x) - x).square().sum()
    assert missed / (x - x.mean(dim=0)).square().sum() < 0.35


def test_the_saved_sae_has_the_l0_that_was_asked_for(whole: Path) -> None:
    assert metrics(whole)[-1]["l0"] == pytest.approx(CONFIG.k, rel=0.15)


def test_decoder_rows_keep_unit_norm(random_harvest: Path) -> None:
    trainer = trainer_of(random_harvest)
    for batch in islice(batches(random_harvest, Manifest.load(random_harvest), batch_size=100, seed=0), 5):
        trainer.learn(batch)
    torch.testing.assert_close(trainer.sae.W_dec.norm(dim=-1), torch.ones(CONFIG.d_sae))


def trainer_of(folder: Path, config: TrainConfig = CONFIG) -> Trainer:
    stream = batches(folder, Manifest.load(folder), batch_size=100, seed=0)
    return Trainer(config, next(stream), "cpu")


@pytest.mark.parametrize(("aux_alpha", "revived"), [(1 / 32, True), (0.0, False)])
def test_aux_k_brings_dead_features_back(random_harvest: Path, aux_alpha: float, revived: bool) -> None:
    trainer = trainer_of(random_harvest, replace(CONFIG, aux_alpha=aux_alpha, dead_after=300))
    with torch.no_grad():
        trainer.sae.W_enc[:, :20] *= 0.01  # too weak to be among the largest
    for batch in islice(batches(random_harvest, Manifest.load(random_harvest), batch_size=100, seed=0), 100):
        trainer.learn(batch)
    assert bool((trainer.sae.silent[:20] < 300).any()) == revived


def test_the_input_is_scaled_to_a_mean_length_of_root_d(random_harvest: Path) -> None:
    stream = batches(random_harvest, Manifest.load(random_harvest), batch_size=100, seed=0)
    sample = next(stream).float()
    lengths = (sample * trainer_of(random_harvest).input_scale).norm(dim=-1)
    assert lengths.mean().item() == pytest.approx(16**0.5)


def test_the_learning_rate_rises_stays_and_falls(random_harvest: Path) -> None:
    trainer = trainer_of(random_harvest)
    rates = []
    for trainer.step in range(CONFIG.num_steps):
        rates.append(trainer.lr)
    assert rates[0] == pytest.approx(CONFIG.lr / 6)  # 5 % of 120 steps
    assert rates[5:97] == [CONFIG.lr] * 92
    assert rates[-1] == pytest.approx(CONFIG.lr / 24)  # 20 % of 120 steps


def test_an_altered_harvest_is_refused(random_harvest: Path, tmp_path: Path) -> None:
    shard = random_harvest / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\xff")
    with pytest.raises(ValueError, match="has SHA-256"):
        train(random_harvest, CONFIG, tmp_path / "run")


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_keeps_at_most_a_fiftieth_of_its_features(name: str) -> None:
    config = RECIPES[name]()
    assert config.k < config.d_sae / 50


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"k": 65}, "k is 65"),
        ({"num_samples": 99}, "num_samples is 99"),
        ({"dtype": "float16"}, "dtype is 'float16'"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(changed: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(CONFIG, **changed)
