"""What a person sees while SAEs learn: a bar for each."""

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from steersman_training.run_files import StepMetrics
from steersman_training.train_config import TrainConfig


class TrainProgress:
    """Bars on standard error, on the process that leads."""

    def __init__(self, configs: dict[Path, TrainConfig], *, shown: bool) -> None:
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:,}/{task.total:,} {task.fields[shown]}"),
            TimeRemainingColumn(compact=True),
            console=Console(stderr=True),
            disable=not shown,
        )
        self._configs = configs
        self._fidelity: dict[Path, float] = {}
        self._tasks = {
            out: self._bars.add_task(out.name, total=config.num_steps, shown="")
            for out, config in configs.items()
        }

    def __enter__(self) -> "TrainProgress":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def update(self, out: Path, metrics: StepMetrics) -> None:
        """Show where a run is."""
        if metrics.fidelity is not None:
            self._fidelity[out] = metrics.fidelity
        shown = summary(metrics, self._configs[out].d_sae, self._fidelity.get(out))
        self._bars.update(self._tasks[out], completed=metrics.step, shown=shown)


def summary(metrics: StepMetrics, d_sae: int, fidelity: float | None) -> str:
    """One line about a run. `fidelity`: when it was last measured."""
    measured = "" if fidelity is None else f" · fidelity {fidelity:.4f}"
    return (
        f"L0 {metrics.l0_ema:.1f} · EV {metrics.explained_variance:.3f}{measured}"
        f" · dead {metrics.dead / d_sae:.1%} · rare {metrics.rare / d_sae:.1%}"
        f" · {metrics.tokens_per_s:,.0f} tok/s"
    )
