"""`steersman` with a model that takes its time: `python -m tests.server.slow_server SECONDS serve ...`."""

import sys
import time
from typing import Any

from torch import Tensor

from steersman.cli import main
from steersman_engine import serving
from steersman_engine.forward import Batch, Forward


class SlowForward:
    """The real forward pass, after some seconds."""

    def __init__(self, real: Forward, seconds: float) -> None:
        self._real, self._seconds = real, seconds
        self.cache, self.upper = real.cache, real.upper

    def lower(self, token_ids: Tensor, batch: Batch) -> Tensor:
        """Blocks up to the tap."""
        time.sleep(self._seconds)
        return self._real.lower(token_ids, batch)


def install(seconds: float) -> None:
    """Let every pass of what is loaded from now on take longer."""
    forward_for = serving.forward_for

    def slow_forward_for(*given: Any) -> Any:
        make = forward_for(*given)
        return lambda *size: SlowForward(make(*size), seconds)

    serving.forward_for = slow_forward_for


if __name__ == "__main__":
    install(float(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
