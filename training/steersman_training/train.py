"""The training loop: from a harvest to `sae.safetensors`, with a checkpoint to go on from.

A run that was stopped and goes on ends with the same bits as one that was not: the order of the
batches follows from the seed and the step, and nothing else is drawn at random after the start.
"""

import time
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import torch
from rich.progress import BarColumn, Progress, TimeRemainingColumn
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from steersman_training.batch_topk import BatchTopK, Reconstruction
from steersman_training.recipes import TrainConfig
from steersman_training.shards import Manifest, batches, verify, write_atomically
from steersman_training.stop_signals import stop_signals

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"
SAE_FILE = "sae.safetensors"
FACTS = "train.json"
SCALE_BATCHES = 16
L0_DECAY = 0.9
LOG_EVERY = 20
CHECKPOINT_EVERY = 500


class StepMetrics(msgspec.Struct, frozen=True):
    """One line of `metrics.jsonl`, measured on one training batch."""

    step: int
    samples: int
    loss: float
    explained_variance: float
    l0: float
    """Features a token above the threshold, each token judged alone as when served."""
    l0_ema: float
    """Moving average over the lines."""
    dead: int
    """Features silent for `dead_after` tokens."""
    threshold: float
    """In units of the scaled input."""
    lr: float
    tokens_per_s: float
    """Since the line before."""


class TrainFacts(msgspec.Struct, frozen=True):
    """`train.json`: what the SAE was made from and how, and the last metrics."""

    config: TrainConfig
    harvest: Manifest
    input_scale: float
    """The SAE learnt from this many times the residual stream; it is folded into the saved one."""
    num_epochs: float
    torch_version: str
    last: StepMetrics


class Trainer:
    """A BatchTopK SAE, its optimiser, and how far they are."""

    def __init__(self, config: TrainConfig, sample: Tensor, device: str) -> None:
        """Start from `sample` `[tokens, d_model]` of the raw residual stream."""
        sample = sample.float()
        d_model = sample.shape[1]
        self.config, self.device = config, device
        self.step, self.l0_ema = 0, 0.0
        self.input_scale = d_model**0.5 / sample.norm(dim=-1).mean().item()
        self.sae = BatchTopK(
            centre=sample.mean(dim=0) * self.input_scale,
            d_sae=config.d_sae,
            k=config.k,
            generator=torch.Generator().manual_seed(config.seed),
            dtype=getattr(torch, config.dtype),
        ).to(device)
        self.optimizer = torch.optim.Adam(self.sae.parameters(), lr=config.lr, eps=6.25e-10, fused=True)

    @property
    def lr(self) -> float:
        """The learning rate of the next step."""
        config, total = self.config, self.config.num_steps
        rise = (self.step + 1) / max(1, config.warmup * total)
        fall = (total - self.step) / max(1, config.decay * total)
        return config.lr * min(1.0, rise, fall)

    def learn(self, resid: Tensor) -> tuple[Reconstruction, Tensor]:
        """One step on `resid` `[batch, d_model]`; the reconstruction and the loss before it."""
        config, sae = self.config, self.sae
        self.optimizer.param_groups[0]["lr"] = self.lr
        made = sae(resid.to(self.device).float() * self.input_scale)
        loss = sae.loss(
            made, aux_alpha=config.aux_alpha, k_aux=resid.shape[1] // 2, dead_after=config.dead_after
        )
        self.optimizer.zero_grad()
        loss.backward()
        sae.project_gradient()
        clip_grad_norm_(sae.parameters(), config.max_grad_norm, error_if_nonfinite=True)
        self.optimizer.step()
        sae.normalize_decoder()
        sae.observe(made, config.threshold_decay)
        self.step += 1
        return made, loss.detach()

    def metrics(self, made: Reconstruction, loss: Tensor, *, tokens_per_s: float) -> StepMetrics:
        """The metrics of what `learn` returned; counts towards the average of L0."""
        l0 = self.sae.served_l0(made.x)
        self.l0_ema = l0 if not self.l0_ema else L0_DECAY * self.l0_ema + (1 - L0_DECAY) * l0
        return StepMetrics(
            step=self.step,
            samples=self.step * self.config.batch_size,
            loss=loss.item(),
            explained_variance=1 - made.unexplained.item(),
            l0=l0,
            l0_ema=self.l0_ema,
            dead=int((self.sae.silent >= self.config.dead_after).sum()),
            threshold=self.sae.threshold.item(),
            lr=self.optimizer.param_groups[0]["lr"],
            tokens_per_s=tokens_per_s,
        )

    def state(self) -> dict[str, Any]:
        """What `restore` needs."""
        return {
            "step": self.step,
            "l0_ema": self.l0_ema,
            "input_scale": self.input_scale,
            "sae": self.sae.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.step, self.l0_ema = state["step"], state["l0_ema"]
        self.input_scale = state["input_scale"]
        self.sae.load_state_dict(state["sae"])
        self.optimizer.load_state_dict(state["optimizer"])


def train(harvest: Path, config: TrainConfig, out: Path, *, device: str = "cpu") -> TrainFacts | None:
    """Learn from the harvest in a folder, or go on doing so; None when stopped before the end.

    SIGINT and SIGTERM stop it after a checkpoint; the same call goes on from there.

    Raises:
        ValueError: `out` holds another or a finished run, or the harvest is not whole.
    """
    manifest = Manifest.load(harvest)
    verify(harvest, manifest)
    out.mkdir(parents=True, exist_ok=True)
    trainer = _begin(harvest, manifest, config, out, device)
    stream = batches(harvest, manifest, batch_size=config.batch_size, seed=config.seed, skip=trainer.step)
    with stop_signals() as stop, (out / METRICS).open("a") as lines, _progress() as progress:
        task = progress.add_task("Train", total=config.num_steps, completed=trainer.step, shown="")
        logged_step, logged_at = trainer.step, time.perf_counter()
        while not stop.is_set():
            made, loss = trainer.learn(next(stream))
            if trainer.step % LOG_EVERY == 0 or trainer.step == config.num_steps:
                samples = (trainer.step - logged_step) * config.batch_size
                speed = samples / (time.perf_counter() - logged_at)
                last = trainer.metrics(made, loss, tokens_per_s=speed)
                logged_step, logged_at = trainer.step, time.perf_counter()
                lines.write(msgspec.json.encode(last).decode() + "\n")
                lines.flush()
                progress.update(task, completed=trainer.step, shown=_shown(last, config))
                if trainer.step == config.num_steps:
                    return _finish(trainer, manifest, last, out)
            if trainer.step % CHECKPOINT_EVERY == 0 or stop.is_set():
                _save_checkpoint(trainer, manifest, out)
    return None


def _begin(harvest: Path, manifest: Manifest, config: TrainConfig, out: Path, device: str) -> Trainer:
    if (out / FACTS).exists():
        raise ValueError(f"{out} holds a finished run. Choose another folder.")
    stream = batches(harvest, manifest, batch_size=config.batch_size, seed=config.seed)
    trainer = Trainer(config, torch.cat(list(islice(stream, SCALE_BATCHES))), device)
    if not (out / CHECKPOINT).exists():
        (out / METRICS).unlink(missing_ok=True)
        return trainer
    saved = torch.load(out / CHECKPOINT, map_location=device, weights_only=True)
    if saved["origin"] != _origin(config, manifest):
        raise ValueError(
            f"{out} holds a run with another configuration or harvest: repeat that one, or choose"
            " another folder."
        )
    trainer.restore(saved["state"])
    lines = (out / METRICS).read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if msgspec.json.decode(line, type=StepMetrics).step <= trainer.step]
    write_atomically(out / METRICS, b"".join(kept))
    return trainer


def _save_checkpoint(trainer: Trainer, manifest: Manifest, out: Path) -> None:
    part = out / f"{CHECKPOINT}.part"
    torch.save({"origin": _origin(trainer.config, manifest), "state": trainer.state()}, part)
    part.replace(out / CHECKPOINT)


def _origin(config: TrainConfig, manifest: Manifest) -> str:
    return msgspec.json.encode((config, manifest)).decode()


def _finish(trainer: Trainer, manifest: Manifest, last: StepMetrics, out: Path) -> TrainFacts:
    # half precision in the file, so that what is measured is what is served
    trainer.sae.to_sae(trainer.input_scale).save(out / SAE_FILE, dtype=torch.float16)
    facts = TrainFacts(
        config=trainer.config,
        harvest=manifest,
        input_scale=trainer.input_scale,
        num_epochs=last.samples / manifest.tokens,
        torch_version=str(torch.__version__),
        last=last,
    )
    write_atomically(out / FACTS, msgspec.json.format(msgspec.json.encode(facts), indent=1))
    (out / CHECKPOINT).unlink(missing_ok=True)
    return facts


def _progress() -> Progress:
    columns = ("{task.description}", BarColumn(), "{task.completed}/{task.total}", "{task.fields[shown]}")
    return Progress(*columns, TimeRemainingColumn())


def _shown(last: StepMetrics, config: TrainConfig) -> str:
    return (
        f"L0 {last.l0_ema:.1f} · EV {last.explained_variance:.3f} · dead {last.dead / config.d_sae:.1%}"
        f" · {last.tokens_per_s:,.0f} tok/s"
    )
