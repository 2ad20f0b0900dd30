"""Where a step of the job keeps its results, so that it can be stopped at any moment.

A step is a folder of numbered parts. Its name holds a hash of everything the parts follow from: the
settings that matter to it, its version, and the hash of the steps before. A part is written in one
move, so it is whole or absent; a step that was killed goes on at the first part that is missing, and
one whose inputs changed begins anew beside the old one.
"""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from safetensors import safe_open
from safetensors.numpy import save

STAGE_FILE = "stage.json"
SECONDS_FILE = "seconds"
"""A line for each part that was made: how long it took."""


class StageFacts(msgspec.Struct, frozen=True):
    """What `stage.json` says."""

    name: str
    key: str
    parts: int
    inputs: dict[str, Any]


class Stage:
    """One step's folder of parts; `inputs` is JSON and all that its parts follow from."""

    def __init__(self, root: Path, name: str, parts: int, inputs: Mapping[str, Any]) -> None:
        self.name = name
        self.parts = parts
        self.inputs = dict(inputs)
        text = msgspec.json.encode({"name": name, "parts": parts, **inputs}, order="deterministic")
        self.key = hashlib.sha256(text).hexdigest()[:16]
        self.folder = root / name / self.key
        self.folder.mkdir(parents=True, exist_ok=True)
        facts = StageFacts(name, self.key, parts, dict(inputs))
        write_whole(self.folder / STAGE_FILE, msgspec.json.format(msgspec.json.encode(facts), indent=1))

    def path(self, number: int) -> Path:
        """Where a part is, or will be."""
        return self.folder / f"part-{number:05d}"

    def missing(self) -> list[int]:
        """The parts that are still to be made."""
        return [number for number in range(self.parts) if not self.path(number).exists()]

    @property
    def done(self) -> bool:
        """Whether all parts are there."""
        return not self.missing()

    def make(self, part: Callable[[int], bytes]) -> Iterator[int]:
        """Make what is missing, one part after another; yields the number of each after it is written."""
        for number in self.missing():
            if self.path(number).exists():
                continue  # another process works on the same step
            begun = time.monotonic()
            write_whole(self.path(number), part(number))
            with (self.folder / SECONDS_FILE).open("a", encoding="ascii") as file:
                file.write(f"{time.monotonic() - begun:.3f}\n")
            yield number

    @property
    def seconds(self) -> float | None:
        """What making its parts took, in all processes; None where nobody noted it."""
        path = self.folder / SECONDS_FILE
        return sum(map(float, path.read_text(encoding="ascii").split())) if path.exists() else None

    def read(self, number: int, kind: Any) -> Any:
        """A part that was written with `packed`."""
        return msgspec.msgpack.decode(self.path(number).read_bytes(), type=kind)

    def read_all(self, kind: Any) -> Iterator[Any]:
        """Every part in order; `kind` is that of one part."""
        assert self.done, f"{self.name} is not done."
        for number in range(self.parts):
            yield self.read(number, kind)

    def arrays(self, number: int) -> dict[str, np.ndarray]:
        """A part that was written with `packed_arrays`."""
        with safe_open(self.path(number), framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def packed(content: Any) -> bytes:
    """Structs, lists and dicts as a part's bytes."""
    return msgspec.msgpack.encode(content)


def packed_arrays(columns: Mapping[str, np.ndarray]) -> bytes:
    """Arrays as a part's bytes."""
    return save({name: np.ascontiguousarray(column) for name, column in columns.items()})


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in one move: after a crash it is the old one, or the new one."""
    part = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def stages_in(root: Path) -> Iterator[tuple[StageFacts, int]]:
    """Every step of a job's folder, and how many of its parts are done; the newest of a name last."""
    found = sorted(root.glob(f"*/*/{STAGE_FILE}"), key=lambda path: (path.stat().st_mtime_ns, path))
    for path in found:
        facts = msgspec.json.decode(path.read_bytes(), type=StageFacts)
        yield facts, sum((path.parent / f"part-{n:05d}").exists() for n in range(facts.parts))
