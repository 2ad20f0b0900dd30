"""The training loop: from a harvest to `sae.safetensors`, with a checkpoint to go on from.

A run that was stopped and goes on ends with the same bits as one that was not: batch `i` follows from the
seed and `i`, and nothing else is drawn at random after the start. Several runs may share one pass over the
data; each is then the same as alone.
"""

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from itertools import islice
from pathlib import Path

import msgspec
import torch
from torch import Tensor

from steersman_engine.bundle import sha256_of
from steersman_engine.host import fast_dtype
from steersman_training.allocator import keep_freed_memory
from steersman_training.checkpoint import restore_checkpoint, save_checkpoint
from steersman_training.fidelity import FidelityWatch
from steersman_training.loggers import Logger, open_logger
from steersman_training.report import write_report
from steersman_training.run_files import (
    CHECKPOINT,
    FACTS,
    METRICS,
    SAE_FILE,
    StepMetrics,
    TrainFacts,
    keep_metrics,
)
from steersman_training.shards import Manifest, TokenFilter, batches, verify
from steersman_training.stop_signals import stop_signals
from steersman_training.train_config import TrainConfig
from steersman_training.train_progress import TrainProgress
from steersman_training.trainer import Learnt, Trainer
from steersman_training.world import ALONE, World

__all__ = ["FACTS", "SAE_FILE", "StepMetrics", "TrainFacts", "Trainer", "train", "train_many"]

SCALE_BATCHES = 16
LOG_EVERY = 20
ASK_EVERY = 10
"""Steps after which processes ask each other whether one was told to stop."""
CHECKPOINT_EVERY_S = 300.0


def train(
    harvest: Path,
    config: TrainConfig,
    out: Path,
    *,
    device: str = "cpu",
    world: World = ALONE,
    loggers: Sequence[str] = (),
    fidelity: FidelityWatch | None = None,
) -> TrainFacts | None:
    """`train_many` of one run."""
    done = train_many(harvest, {out: config}, device=device, world=world, loggers=loggers, fidelity=fidelity)
    return done[out] if done else None


def train_many(
    harvest: Path,
    configs: Mapping[Path, TrainConfig],
    *,
    device: str = "cpu",
    world: World = ALONE,
    loggers: Sequence[str] = (),
    fidelity: FidelityWatch | None = None,
) -> dict[Path, TrainFacts] | None:
    """Learn from the harvest in a folder in one pass, or go on doing so; None when stopped before the end.

    `fidelity`: measured now and then, and at the end, by the process that leads; nothing learns from it.
    Each run has its own folder; those that are finished are left alone, unless all are. SIGINT and SIGTERM
    stop them after a checkpoint; the same call goes on from there.

    Raises:
        ValueError: The runs do not read the same batches, a folder holds another run, all are finished, or
            the harvest is not whole.
    """
    manifest = Manifest.load(harvest)
    dtype = "bfloat16" if fast_dtype(device) == torch.bfloat16 else "float32"
    runs = {out: config.resolved(dtype) for out, config in configs.items()}
    shared = _shared(list(runs.values()), world)
    finished = {out: TrainFacts.load(out) for out in runs if (out / FACTS).exists()}
    if len(finished) == len(runs):
        raise ValueError(f"{', '.join(map(str, runs))} holds a finished run. Choose another folder.")
    if world.leads:
        verify(harvest, manifest)
    keep_freed_memory()
    torch.set_float32_matmul_precision("high")  # on a GPU TF32; elsewhere the same as before
    with closing(_stream(harvest, manifest, shared)) as stream:
        sample = torch.cat(list(islice(stream, SCALE_BATCHES)))
    with ExitStack() as stack:
        under_way: dict[Path, Run] = {}
        for out, config in runs.items():
            if out not in finished:
                under_way[out] = stack.enter_context(
                    closing(Run(Trainer(config, sample, device, world), manifest, out, loggers, fidelity))
                )
        if not _learn(harvest, under_way, shared, manifest):
            return None
        return finished | {out: run.facts() for out, run in under_way.items()}


class Run:
    """A trainer and the folder it fills."""

    def __init__(
        self,
        trainer: Trainer,
        manifest: Manifest,
        out: Path,
        loggers: Sequence[str],
        fidelity: FidelityWatch | None,
    ) -> None:
        self.trainer, self.manifest, self.out, self._fidelity = trainer, manifest, out, fidelity
        self.leads = trainer.world.leads
        self.last: StepMetrics | None = None
        out.mkdir(parents=True, exist_ok=True)
        restore_checkpoint(trainer, manifest, out)
        self.loggers: list[Logger] = []
        if self.leads:
            keep_metrics(out, trainer.step)
            self.loggers = [open_logger(name, out, trainer.config) for name in loggers]
            self._lines = (out / METRICS).open("ab")
        self._logged = trainer.step, time.perf_counter()

    @property
    def worth_a_line(self) -> bool:
        """Whether the last step's metrics are to be written down."""
        return self.trainer.step % LOG_EVERY == 0 or self.trainer.done or self._measures_fidelity

    @property
    def _measures_fidelity(self) -> bool:
        trainer, size = self.trainer, self.trainer.config.batch_size
        watch = self._fidelity
        return watch is not None and (trainer.done or watch.due(trainer.step * size, size))

    def log(self, learnt: Learnt) -> StepMetrics:
        """Write down how the run is doing."""
        step, at = self._logged
        samples = (self.trainer.step - step) * self.trainer.config.batch_size
        speed = samples / (time.perf_counter() - at)
        watch = self._fidelity if self.leads and self._measures_fidelity else None
        measured = watch(self.trainer) if watch else None
        metrics = self.trainer.metrics(learnt, tokens_per_s=speed, fidelity=measured)
        self._logged, self.last = (self.trainer.step, time.perf_counter()), metrics
        if self.leads:
            self._lines.write(msgspec.json.encode(metrics) + b"\n")
            self._lines.flush()
            for logger in self.loggers:
                logger.log(metrics)
        return metrics

    def save(self) -> None:
        """Make a checkpoint."""
        if self.leads:
            save_checkpoint(self.trainer, self.manifest, self.out)

    def finish(self) -> None:
        """Write the SAE, the facts and the report."""
        if not self.leads:
            return
        # half precision in the file, so that what is measured is what is served
        self.trainer.sae.to_sae(self.trainer.input_scale).save(self.out / SAE_FILE, dtype=torch.float16)
        self.facts().save(self.out)
        write_report([self.out], self.out)
        (self.out / CHECKPOINT).unlink(missing_ok=True)

    def facts(self) -> TrainFacts:
        """What `train.json` says."""
        trainer = self.trainer
        assert self.last is not None
        return TrainFacts(
            config=trainer.config,
            harvest=self.manifest,
            input_scale=trainer.input_scale,
            num_epochs=self.last.samples / self.manifest.tokens,
            torch_version=str(torch.__version__),
            last=self.last,
            processes=trainer.world.size,
            density=trainer.density(),
            sae_sha256=sha256_of(self.out / SAE_FILE) if self.leads else "",
        )

    def close(self) -> None:
        """Let go of the files."""
        if self.leads:
            self._lines.close()
        for logger in self.loggers:
            logger.close()


def _learn(harvest: Path, runs: dict[Path, Run], shared: TrainConfig, manifest: Manifest) -> bool:
    """Train all `runs` to their ends; False when told to stop. They may have come to different steps."""
    trainers = [run.trainer for run in runs.values()]
    world, device = trainers[0].world, trainers[0].device
    begin = min(trainer.step for trainer in trainers)
    last = max(trainer.config.num_steps for trainer in trainers)
    configs = {out: run.trainer.config for out, run in runs.items()}
    saved_at = time.monotonic()
    with (
        stop_signals() as stop,
        closing(_stream(harvest, manifest, shared, skip=begin)) as stream,
        TrainProgress(configs, shown=world.leads) as progress,
    ):
        for step in range(begin, last):
            batch = world.share(_next(stream, harvest, step))
            for out, run in runs.items():
                if run.trainer.step == step and not run.trainer.done:
                    learnt = run.trainer.learn(batch)
                    if run.worth_a_line:
                        progress.update(out, run.log(learnt))
                    if run.trainer.done:
                        run.finish()
            stopping = stop.is_set()
            if world.size > 1:
                stopping = (step + 1) % ASK_EVERY == 0 and world.any(stopping, device)
            if stopping and step + 1 < last:
                _save(runs)
                return False
            if world.leads and time.monotonic() - saved_at > CHECKPOINT_EVERY_S:
                _save(runs)
                saved_at = time.monotonic()
    return True


def _save(runs: dict[Path, Run]) -> None:
    for run in runs.values():
        if not run.trainer.done:
            run.save()


def _shared(configs: list[TrainConfig], world: World) -> TrainConfig:
    """Any of the configurations, which all read the same batches."""
    for name in ("batch_size", "seed", "roles", "kinds"):
        values = {getattr(config, name) for config in configs}
        if len(values) > 1:
            raise ValueError(
                f"Runs that share one pass must have the same {name}, not {sorted(map(str, values))}."
            )
    if configs[0].batch_size % world.size:
        raise ValueError(
            f"batch_size is {configs[0].batch_size}: {world.size} processes cannot share it equally."
        )
    return configs[0]


def _stream(
    harvest: Path, manifest: Manifest, config: TrainConfig, skip: int = 0
) -> Generator[Tensor, None, None]:
    keep = None
    if config.roles is not None or config.kinds is not None:
        given = {"roles": config.roles, "kinds": config.kinds}
        keep = TokenFilter(**{name: value for name, value in given.items() if value is not None})
    yield from batches(
        harvest, manifest, batch_size=config.batch_size, seed=config.seed, skip=skip, keep=keep
    )


def _next(stream: Iterator[Tensor], harvest: Path, step: int) -> Tensor:
    batch = next(stream, None)
    if batch is None:
        raise ValueError(
            f"{harvest} ended after {step:,} batches: a ring is read once. Give the same command with a"
            " num_samples that it holds."
        )
    return batch
