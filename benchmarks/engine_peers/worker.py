"""What every engine's process has in common: it is asked on stdin and answers on stdout, JSON lines.

Asked: `{"prompts": [[id, ...], ...], "new_tokens": n, "edits": [[[feature, add], ...], ...]}`; an edit sets
a feature to `add` residual units, and each prompt has its own. Answered: for each prompt its tokens, and
when each came, in seconds after all were sent. Standard library only: peers have environments of their own.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

Run = Callable[[dict[str, Any]], dict[str, Any]]


def serve(run: Run, **about: Any) -> None:
    """Answer until stdin ends; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    print(json.dumps({"ready": True, **about}), file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)


class Clock:
    """When each token of each stream came."""

    def __init__(self, num_streams: int) -> None:
        self.times: list[list[float]] = [[] for _ in range(num_streams)]
        self.tokens: list[list[Any]] = [[] for _ in range(num_streams)]
        self._began = time.perf_counter()

    def tick(self, stream: int, token: Any = None) -> None:
        """A token came."""
        self.times[stream].append(time.perf_counter() - self._began)
        self.tokens[stream].append(token)

    def answer(self) -> dict[str, Any]:
        """What `serve` sends back."""
        return {"times": self.times, "tokens": self.tokens}


def in_threads(num_streams: int, stream: Callable[[int], None]) -> None:
    """Run every stream in a thread of its own, at once."""
    threads = [threading.Thread(target=stream, args=(index,)) for index in range(num_streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
