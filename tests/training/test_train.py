import json
import multiprocessing
import os
import random
import signal
import time
from itertools import islice
from pathlib import Path

import pytest
import torch
from msgspec.structs import replace

from steersman_engine.sae import SAE
from steersman_training import checkpoint
from steersman_training import train as module
from steersman_training.shards import Manifest, batches
from steersman_training.train import Trainer, TrainFacts, train, train_many
from steersman_training.train_config import (
    AnyArchitecture,
    BatchTopK,
    Gated,
    JumpReLU,
    Matryoshka,
    StandardL1,
    TopK,
    TrainConfig,
)

CONFIG = TrainConfig(
    architecture=BatchTopK(k=4, threshold_decay=0.8),
    d_sae=64,
    num_samples=100 * 120,
    batch_size=100,
    lr=3e-3,
    lr_warmup=0.05,
    dead_after=1500,
    dtype="float32",
)
ALL: list[AnyArchitecture] = [
    StandardL1(l1=0.5, target_l0=8),
    TopK(k=4),
    BatchTopK(k=4),
    Matryoshka(k=4),
    JumpReLU(sparsity=0.2),
    Gated(l1=0.5),
]


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOG_EVERY", 10)


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch, number: signal.Signals = signal.SIGTERM) -> None:
    learn, sent = Trainer.learn, []

    def learn_then_stop(self, resid):
        made = learn(self, resid)
        if self.step == step and not sent:
            sent.append(number)  # a second one would end the process at once
            os.kill(os.getpid(), number)
        return made

    monkeypatch.setattr(Trainer, "learn", learn_then_stop)


def metrics(out: Path) -> list[dict]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "tokens_per_s"} for line in lines]


def same_bits(one: Path, other: Path) -> bool:
    return (one / "sae.safetensors").read_bytes() == (other / "sae.safetensors").read_bytes()


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
    assert same_bits(whole, tmp_path / "resumed")
    assert metrics(tmp_path / "resumed") == metrics(whole)


def test_every_architecture_resumes_to_the_same_bits(
    random_harvest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = replace(CONFIG, num_samples=100 * 30)
    for_all = {each.name: replace(short, architecture=each) for each in ALL}
    train_many(random_harvest, {tmp_path / "whole" / name: config for name, config in for_all.items()})
    resumed = {tmp_path / "resumed" / name: config for name, config in for_all.items()}
    with monkeypatch.context() as patched:
        stop_at(17, patched)
        assert train_many(random_harvest, resumed) is None
    train_many(random_harvest, resumed)
    assert [
        name for name in for_all if not same_bits(tmp_path / "whole" / name, tmp_path / "resumed" / name)
    ] == []


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_run_that_is_killed_at_random_moments_ends_with_the_same_bits(
    whole: Path, random_harvest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_EVERY_S", 0.01)
    out, moment = tmp_path / "killed", random.Random()
    fork = multiprocessing.get_context("fork")  # starts at once: all is imported already
    for _ in range(4):
        process = fork.Process(target=train, args=(random_harvest, CONFIG, out))
        process.start()
        time.sleep(moment.uniform(0.05, 1.0))
        process.kill()
        process.join()
    if not (out / "train.json").exists():
        train(random_harvest, CONFIG, out)
    assert same_bits(whole, out)
    assert metrics(out) == metrics(whole)


def test_runs_in_one_pass_end_as_each_does_alone(whole: Path, random_harvest: Path, tmp_path: Path) -> None:
    other = replace(CONFIG, architecture=StandardL1(l1=0.5), num_samples=100 * 60)
    both = {tmp_path / "one": CONFIG, tmp_path / "other": other}
    done = train_many(random_harvest, both)
    assert done is not None and [facts.last.step for facts in done.values()] == [120, 60]
    train(random_harvest, other, tmp_path / "alone")
    assert same_bits(tmp_path / "one", whole)
    assert same_bits(tmp_path / "other", tmp_path / "alone")


def test_runs_that_came_to_different_steps_go_on_together(
    whole: Path, random_harvest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_at(40, patched)
        train(random_harvest, CONFIG, tmp_path / "ahead")
    done = train_many(random_harvest, {tmp_path / "behind": CONFIG, tmp_path / "ahead": CONFIG})
    assert done is not None
    assert same_bits(tmp_path / "behind", whole) and same_bits(tmp_path / "ahead", whole)


def test_runs_that_want_other_batches_cannot_share_a_pass(random_harvest: Path, tmp_path: Path) -> None:
    both = {tmp_path / "one": CONFIG, tmp_path / "other": replace(CONFIG, batch_size=50)}
    with pytest.raises(ValueError, match="must have the same batch_size"):
        train_many(random_harvest, both)


def test_another_configuration_does_not_go_on_from_a_checkpoint(
    random_harvest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_at(20, patched)
        train(random_harvest, CONFIG, tmp_path / "run")
    with pytest.raises(ValueError, match="another configuration or harvest"):
        train(random_harvest, replace(CONFIG, lr=1e-3), tmp_path / "run")


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    random_harvest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        stop_at(20, patched)
        train(random_harvest, CONFIG, tmp_path / "run")
    before = (tmp_path / "run" / "checkpoint.pt").read_bytes()

    def full(state, file) -> None:
        file.write(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        stop_at(40, patched)
        patched.setattr(checkpoint.torch, "save", full)
        with pytest.raises(OSError, match="No space left on device"):
            train(random_harvest, CONFIG, tmp_path / "run")
    assert (tmp_path / "run" / "checkpoint.pt").read_bytes() == before
    assert not list((tmp_path / "run").glob("*.part"))


def test_a_finished_run_is_not_overwritten(whole: Path, random_harvest: Path) -> None:
    with pytest.raises(ValueError, match="holds a finished run"):
        train(random_harvest, CONFIG, whole)


def test_the_saved_sae_explains_most_of_the_raw_residual_stream(whole: Path, random_harvest: Path) -> None:
    stream = batches(random_harvest, Manifest.load(random_harvest), batch_size=320, seed=9)
    x = next(stream).float()
    missed = (SAE.load(whole / "sae.safetensors")(x) - x).square().sum()
    assert missed / (x - x.mean(dim=0)).square().sum() < 0.35


def test_the_saved_sae_has_the_l0_that_was_asked_for(whole: Path) -> None:
    assert metrics(whole)[-1]["l0"] == pytest.approx(4, rel=0.15)


def test_the_facts_name_every_setting_and_the_hash_of_the_sae(whole: Path) -> None:
    facts = TrainFacts.load(whole)
    assert facts.config == CONFIG.resolved("float32")
    assert facts.config.beta1 == 0.9 and facts.config.adam_eps == 6.25e-10
    assert len(facts.sae_sha256) == 64 and facts.density is not None
    assert sum(facts.density.counts) + (facts.density.dead) == 64


def trainer_of(folder: Path, config: TrainConfig = CONFIG) -> Trainer:
    stream = batches(folder, Manifest.load(folder), batch_size=100, seed=0)
    return Trainer(config.resolved("float32"), next(stream), "cpu")


def test_decoder_rows_keep_unit_norm(random_harvest: Path) -> None:
    trainer = trainer_of(random_harvest)
    for batch in islice(batches(random_harvest, Manifest.load(random_harvest), batch_size=100, seed=0), 5):
        trainer.learn(batch)
    torch.testing.assert_close(trainer.sae.W_dec.norm(dim=-1), torch.ones(CONFIG.d_sae))


def test_a_long_gradient_is_shortened_as_clip_grad_norm_does(random_harvest: Path) -> None:
    config = replace(CONFIG, architecture=StandardL1(l1=0.5), max_grad_norm=0.01)
    ours, theirs = trainer_of(random_harvest, config), trainer_of(random_harvest, config)
    batch = next(batches(random_harvest, Manifest.load(random_harvest), batch_size=100, seed=0))
    assert ours.learn(batch).grad_norm > 1
    theirs._shorten = lambda: torch.nn.utils.clip_grad_norm_(theirs.sae.parameters(), 0.01)
    theirs.learn(batch)
    for one, other in zip(ours.sae.parameters(), theirs.sae.parameters(), strict=True):
        torch.testing.assert_close(one, other)


def test_a_gradient_that_is_not_finite_ends_the_run(random_harvest: Path) -> None:
    trainer = trainer_of(random_harvest)
    with pytest.raises(ValueError, match="The gradient of step 1 is nan: try a lower lr"):
        trainer.learn(torch.full((100, 16), torch.nan))


@pytest.mark.parametrize(("aux_alpha", "revived"), [(1 / 32, True), (0.0, False)])
def test_aux_k_brings_dead_features_back(random_harvest: Path, aux_alpha: float, revived: bool) -> None:
    options = BatchTopK(k=4, threshold_decay=0.8, aux_alpha=aux_alpha)
    trainer = trainer_of(random_harvest, replace(CONFIG, architecture=options, dead_after=300))
    with torch.no_grad():
        trainer.sae.W_enc[:, :20] *= 0.01  # too weak to be among the largest
    for batch in islice(batches(random_harvest, Manifest.load(random_harvest), batch_size=100, seed=0), 100):
        trainer.learn(batch)
    assert bool((trainer.use.silent[:20] < 300).any()) == revived


def test_a_penalty_s_weight_follows_the_l0_that_was_asked_for(random_harvest: Path, tmp_path: Path) -> None:
    options = StandardL1(l1=0.5, target_l0=8)
    config = replace(CONFIG, architecture=options, num_samples=100 * 600)
    facts = train(random_harvest, config, tmp_path / "run")
    assert facts is not None and facts.last.l0_ema == pytest.approx(8, rel=0.15)


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
    assert CONFIG.lr is not None
    assert rates[0] == pytest.approx(CONFIG.lr / 6)  # 5 % of 120 steps
    assert rates[5:97] == [CONFIG.lr] * 92
    assert rates[-1] == pytest.approx(CONFIG.lr / 24)  # 20 % of 120 steps


def test_an_altered_harvest_is_refused(random_harvest: Path, tmp_path: Path) -> None:
    shard = random_harvest / "shard-00000.safetensors"
    shard.write_bytes(shard.read_bytes()[:-1] + b"\xff")
    with pytest.raises(ValueError, match="has SHA-256"):
        train(random_harvest, CONFIG, tmp_path / "run")
