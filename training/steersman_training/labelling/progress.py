"""How a job shows how far it is."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from steersman_training.labelling.stage import Stage


@contextmanager
def shown_progress(quiet: bool = False) -> Iterator[Progress]:
    """A live table of steps on the terminal's error stream."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True, quiet=quiet)) as progress:
        yield progress


def run_stage(stage: Stage, part, progress: Progress | None) -> Stage:
    """Make what is missing of `stage`, `part(number)` giving a part's bytes."""
    missing = stage.missing()
    if not missing:
        return stage
    if progress is None:
        for _ in stage.make(part):
            pass
        return stage
    task = progress.add_task(stage.name, total=stage.parts, completed=stage.parts - len(missing))
    for _ in stage.make(part):
        progress.advance(task)
    return stage
