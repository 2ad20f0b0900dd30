"""A progress bar that says tokens, tokens a second, and how long it still takes."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:,.0f} tokens/s" if task.speed else "", style="progress.data.speed")


class TokenProgress:
    """Counts tokens on stderr; silent unless `shown`."""

    def __init__(self, total: int, *, title: str = "Harvest", shown: bool = True) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:,}/{task.total:,} tokens"),
            _Rate(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            speed_estimate_period=120,
            disable=not shown,
        )
        self._task = self._progress.add_task(title, total=total)

    def advance(self, tokens: int) -> None:
        """So many more are done."""
        self._progress.advance(self._task, tokens)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
