"""How much memory there is: the machine's, or what is left of a container's share of it."""

from collections.abc import Iterator
from pathlib import Path

import psutil

GIB = 2**30
GROUPS = Path("sys/fs/cgroup")


class OutOfMemoryError(ValueError):
    """What is asked for does not fit; the message says how much it takes and how much there is."""


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that this process may still take, of the machine and of every control group that it is in."""
    return min([psutil.virtual_memory().available, *_left_in_groups(root)])


def _left_in_groups(root: Path) -> Iterator[int]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:  # no Linux
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            yield from _left(root / GROUPS, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            yield from _left(root / GROUPS / "memory", path, *names)


def _left(mount: Path, path: str, limit: str, usage: str, cache: str) -> Iterator[int]:
    """Of a group and of those around it; in a container its own may be `mount`, whatever `path` says."""
    group = mount / path.lstrip("/")
    for folder in (group, *group.parents):
        try:
            most = (folder / limit).read_text().strip()
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            taken = int((folder / usage).read_text()) - int(stat.get(cache, 0))
        except OSError:  # not there
            most = "max"
            taken = 0
        if most != "max":
            yield max(0, int(most) - taken)
        if folder == mount:
            return


def size(num_bytes: int) -> str:
    """For people."""
    return f"{num_bytes / GIB:.1f} GiB" if num_bytes >= GIB else f"{num_bytes / 2**20:.0f} MiB"
