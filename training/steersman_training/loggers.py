"""Where metrics go besides `metrics.jsonl`: TensorBoard, Weights & Biases or trackio, if installed."""

import hashlib
from pathlib import Path
from typing import Any, Protocol

import msgspec

from steersman_training.run_files import StepMetrics
from steersman_training.train_config import TrainConfig

PROJECT = "steersman"


class Logger(Protocol):
    """Takes a run's metrics."""

    def log(self, metrics: StepMetrics) -> None:
        """Show one line."""
        ...

    def close(self) -> None:
        """The run ends, or stops."""
        ...


class TensorBoard:
    """Writes to `OUT/tensorboard`; needs the package `tensorboard`."""

    def __init__(self, out: Path, config: TrainConfig) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(out / "tensorboard"))
        self._writer.add_text("config", f"```json\n{msgspec.json.encode(config).decode()}\n```")

    def log(self, metrics: StepMetrics) -> None:
        """Add a point to every curve."""
        for name, value in numbers(metrics).items():
            self._writer.add_scalar(name, value, metrics.step)

    def close(self) -> None:
        """Write what is held back."""
        self._writer.close()


class Wandb:
    """Weights & Biases, project `steersman`; a resumed run goes on in its place. Needs `wandb`."""

    def __init__(self, out: Path, config: TrainConfig) -> None:
        import wandb  # pyright: ignore[reportMissingImports]

        folder = str(out.resolve())
        self._run: Any = wandb.init(
            project=PROJECT,
            name=out.name,
            id=hashlib.sha256(folder.encode()).hexdigest()[:16],
            resume="allow",
            dir=folder,
            config=msgspec.to_builtins(config),
        )

    def log(self, metrics: StepMetrics) -> None:
        """Add a point to every curve."""
        self._run.log(numbers(metrics), step=metrics.step)

    def close(self) -> None:
        """Send what is held back."""
        self._run.finish()


class Trackio:
    """trackio, project `steersman`; a resumed run goes on in its place. Needs `trackio`."""

    def __init__(self, out: Path, config: TrainConfig) -> None:
        import trackio  # pyright: ignore[reportMissingImports]

        self._trackio: Any = trackio
        trackio.init(project=PROJECT, name=out.name, config=msgspec.to_builtins(config), resume="allow")

    def log(self, metrics: StepMetrics) -> None:
        """Add a point to every curve."""
        self._trackio.log(numbers(metrics), step=metrics.step)

    def close(self) -> None:
        """Write what is held back."""
        self._trackio.finish()


LOGGERS: dict[str, type[TensorBoard] | type[Wandb] | type[Trackio]] = {
    "tensorboard": TensorBoard,
    "wandb": Wandb,
    "trackio": Trackio,
}


def open_logger(name: str, out: Path, config: TrainConfig) -> Logger:
    """A logger for the run in `out`.

    Raises:
        ValueError: Its package is not installed, or there is no such logger.
    """
    if name not in LOGGERS:
        raise ValueError(f"There is no logger {name!r}: there are {', '.join(LOGGERS)}.")
    try:
        return LOGGERS[name](out, config)
    except ImportError as error:
        raise ValueError(f"--log {name} needs its package: pip install {name} ({error}).") from error


def numbers(metrics: StepMetrics) -> dict[str, float]:
    """The metrics that are there, by name."""
    return {
        name: value
        for name, value in msgspec.structs.asdict(metrics).items()
        if value is not None and name != "step"
    }
