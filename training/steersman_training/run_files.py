"""What a training run writes: its metrics, line by line, and at the end its facts."""

from pathlib import Path

import msgspec
from msgspec import Struct

from steersman_training.manifest import Manifest, write_atomically
from steersman_training.train_config import TrainConfig

CHECKPOINT = "checkpoint.pt"
METRICS = "metrics.jsonl"
SAE_FILE = "sae.safetensors"
FACTS = "train.json"
REPORT = "report.html"


class StepMetrics(Struct, frozen=True, kw_only=True):
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
    rare: int = 0
    """Features that are not dead, but active on less than 1e-5 of about as many tokens."""
    threshold: float | None = None
    """In units of the scaled input; the mean over features."""
    penalty: float | None = None
    """The weight of the sparsity penalty."""
    lr: float
    grad_norm: float = 0.0
    """Before it is shortened."""
    fidelity: float | None = None
    """To zero ablation, on a few held-out chats; on the lines where it was measured."""
    tokens_per_s: float
    """Since the line before."""


class Density(Struct, frozen=True, kw_only=True):
    """How many features were active on which share of the last tokens."""

    tokens: int
    dead: int
    log10_edges: tuple[float, ...]
    counts: tuple[int, ...]
    """Features between each two edges."""


class TrainFacts(Struct, frozen=True, kw_only=True):
    """`train.json`: what the SAE was made from and how, and the last metrics."""

    config: TrainConfig
    harvest: Manifest
    input_scale: float
    """The SAE learnt from this many times the residual stream; it is folded into the saved one."""
    num_epochs: float
    torch_version: str
    last: StepMetrics
    processes: int = 1
    density: Density | None = None
    sae_sha256: str = ""

    @classmethod
    def load(cls, run: Path) -> "TrainFacts":
        """Read the facts of the finished run in a folder.

        Raises:
            FileNotFoundError: There is none.
        """
        path = run / FACTS
        if not path.is_file():
            raise FileNotFoundError(f"{run} holds no finished run: it has no {FACTS}.")
        return msgspec.json.decode(path.read_bytes(), type=cls)

    def save(self, run: Path) -> None:
        """Write them in one step."""
        write_atomically(run / FACTS, msgspec.json.format(msgspec.json.encode(self), indent=1))


def read_metrics(run: Path) -> list[StepMetrics]:
    """All whole lines of a run's metrics."""
    path = run / METRICS
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    return [msgspec.json.decode(line, type=StepMetrics) for line in lines if line.endswith(b"\n")]


def keep_metrics(run: Path, until: int) -> None:
    """Drop the lines of steps after `until`, which a resumed run makes again."""
    kept = [line for line in read_metrics(run) if line.step <= until]
    write_atomically(run / METRICS, b"".join(msgspec.json.encode(line) + b"\n" for line in kept))
