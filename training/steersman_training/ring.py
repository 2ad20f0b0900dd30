"""A harvest of which only a window is on disk, for models whose activations do not fit.

The harvester and the trainer run side by side and share a folder. Shards are numbered on and on (past the
end of the source they begin it again), and each is a pure function of its number. The trainer reads a
window of `width` shards that moves on by one a step: of the newest it reads the first of `width` parts, of
the oldest the last, so each token is read once, mixed with those of `width` shards. It notes in
`cursor.json` which shard it needs next; the harvester keeps `manifest.ring` shards from there on, removes
what is before, and waits when it has them all. A trainer that goes back to a checkpoint moves the cursor
back, and the harvester makes what it needs again.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from steersman_training.manifest import MANIFEST, Manifest, Shard, write_atomically

CURSOR = "cursor.json"
POLL_S = 0.1
PATIENCE_S = 600.0


class Cursor(msgspec.Struct, frozen=True):
    """How far a trainer is."""

    need: int
    """The first shard that it reads again."""


def width_of(ring: int) -> int:
    """How many shards are mixed; the others are read ahead."""
    return max(1, ring // 2)


def window(step: int, num_shards: int, width: int) -> list[tuple[int, int]]:
    """Which shards a step reads, and which of `width` parts of each."""
    first, last = max(0, step - width + 1), min(step, num_shards - 1)
    return [(shard, step - shard) for shard in range(first, last + 1)]


def needed(folder: Path) -> int:
    """The first shard that the trainer still needs."""
    path = folder / CURSOR
    return msgspec.json.decode(path.read_bytes(), type=Cursor).need if path.is_file() else 0


class Step(NamedTuple):
    """What is read together."""

    number: int
    parts: list[tuple[Shard, int, int]]
    """A shard, which part of it, and of how many."""


class Follower:
    """A trainer's side of a ring."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.width, self.num_shards = width_of(manifest.ring), manifest.num_shards
        self._known = {shard.index: shard for shard in manifest.shards}

    def steps(self) -> Iterator[Step]:
        """All steps in order; waits until the sizes of their shards are known."""
        for step in range(self.num_shards + self.width - 1):
            parts = window(step, self.num_shards, self.width)
            self._wait(lambda parts=parts: [i for i, _ in parts if i not in self._known])
            yield Step(step, [(self._known[shard], part, self.width) for shard, part in parts])

    def hold(self, step: Step) -> None:
        """Ask for a step's shards, let go of those before the last step's, and wait until they are there."""
        cursor = Cursor(max(0, step.number - self.width))  # the step before may still be being read
        write_atomically(self.folder / CURSOR, msgspec.json.encode(cursor))
        files = [(shard.index, self.folder / shard.file) for shard, _, _ in step.parts]
        self._wait(lambda: [index for index, path in files if not path.exists()])

    def _wait(self, missing: Callable[[], list[int]]) -> None:
        begin = time.monotonic()
        while lacking := missing():
            if time.monotonic() - begin > PATIENCE_S:
                raise TimeoutError(
                    f"Shard {lacking[0]} is not in {self.folder} after {PATIENCE_S:.0f} s: is `steersman"
                    f" harvest --ring` running, with the settings of its {MANIFEST}?"
                )
            time.sleep(POLL_S)
            shards = Manifest.load(self.folder).shards
            self._known.update({shard.index: shard for shard in shards})
