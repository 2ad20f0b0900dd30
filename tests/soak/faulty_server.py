"""`steersman`, with work that fails and a clock that jumps when a folder says so.

    python -m tests.soak.faulty_server FOLDER serve ...

The seam is this module: it puts failing parts around the real ones before the server starts, and nothing
in the server knows of it. The files of `FOLDER` decide what goes wrong:

- `fail`: the name of an error and how many forward passes raise it;
- `fail_job`: the same of attributions and inspections;
- `poison`: a token id; every pass that reads it four times in a row raises;
- `clock`: seconds by which the wall clock is off, read anew each time it is asked.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steersman.cli import main
from steersman_engine import inspection, local_engine, serving
from steersman_engine.forward import Batch, Forward

ERRORS: dict[str, Callable[[], Exception]] = {
    "error": lambda: RuntimeError("injected"),
    "memory": lambda: MemoryError("injected"),
    "device_memory": lambda: torch.OutOfMemoryError("injected"),
}
RUN = 4
"""So many poisoned tokens in a row: a lone one may come up in anybody's answer."""


class Faults:
    """What the folder says, now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._real_time = time.time

    def counted(self, name: str) -> None:
        """Raise the error that a file wants raised, one time fewer from then on."""
        if said := self._read(name):
            error, count = said.split()
            path = self.folder / name
            path.write_text(f"{error} {int(count) - 1}") if int(count) > 1 else path.unlink()
            raise ERRORS[error]()

    def poisoned(self, token_ids: Tensor) -> None:
        """Raise an error if the tokens of a pass are poisoned."""
        said = self._read("poison")
        if len(token_ids) < RUN or not said:
            return
        if (token_ids == int(said)).unfold(0, RUN, 1).all(-1).any():
            raise ERRORS["error"]()

    def time(self) -> float:
        """The wall clock, as wrong as it is told to be."""
        return self._real_time() + float(self._read("clock") or 0)

    def _read(self, name: str) -> str:
        try:
            return (self.folder / name).read_text()
        except FileNotFoundError:
            return ""


class FaultyForward:
    """The real forward pass, unless a fault is due."""

    def __init__(self, real: Forward, faults: Faults) -> None:
        self._real, self._faults = real, faults
        self.cache = real.cache

    def lower(self, token_ids: Tensor, batch: Batch) -> Tensor:
        """Blocks up to the tap, or an error before any of them."""
        self._faults.counted("fail")
        self._faults.poisoned(token_ids)
        return self._real.lower(token_ids, batch)

    def upper(self, x: Tensor, batch: Batch, keep: Tensor) -> Tensor:
        """The blocks above."""
        return self._real.upper(x, batch, keep)


def install(faults: Faults) -> None:
    """Let whatever is loaded from now on fail, and every clock be wrong, as `faults` says."""
    forward_for = serving.forward_for

    def faulty_forward_for(*given: Any) -> Any:
        make = forward_for(*given)
        return lambda *size: FaultyForward(make(*size), faults)

    def faulty_job(job: Any) -> Any:
        def steps(*given: Any) -> Any:
            faults.counted("fail_job")
            return (yield from job(*given))

        return steps

    serving.forward_for = faulty_forward_for
    local_engine.attribute = faulty_job(local_engine.attribute)
    inspection.inspect = faulty_job(inspection.inspect)
    time.time = faults.time


if __name__ == "__main__":
    install(Faults(Path(sys.argv[1])))
    sys.exit(main(sys.argv[2:]))
