"""The soak with the default model, for as long as you say.

    python -m tests.soak --minutes 20 [--requests 1000] [--out benchmarks/results/soak.json]

It starts `steersman serve` with a copy of the bundle that ships, on a free port. What it saw goes to a file,
from which `benchmarks/render.py` makes the tables of docs/reliability.md; where anything is not as it must
be, it says what, and ends with 1. As root it fills a small tmpfs to see what a full disk does; otherwise a
limit on the size of files stands for it.
"""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.facts import RESULTS, write
from tests.soak.report import failures, tables
from tests.soak.run import Setup, soak

from steersman_engine.bundle import SHIPPED
from steersman_engine.presets import DEFAULT_MODEL, PRESETS

DISK_BYTES = 16 * 2**20


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20, help="at least so long (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=1000, help="at least so many (default: %(default)s)")
    parser.add_argument("--per-round", type=int, default=150, help="between two looks for leaks")
    parser.add_argument(
        "--out", type=Path, default=RESULTS / "soak.json", help="what was seen (default: %(default)s)"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, small_disk(Path(folder)) as disk:
        bundle = Path(folder) / "bundle"
        shutil.copytree(SHIPPED / str(PRESETS[DEFAULT_MODEL].bundle), bundle)
        setup = Setup(
            ["--model", DEFAULT_MODEL],
            bundle,
            Path(folder),
            per_round=arguments.per_round,
            minutes=arguments.minutes,
            requests=arguments.requests,
            disk=disk,
        )
        found = soak(setup) | {"disk": "tmpfs" if disk else "limit on files"}
    workload = {"minutes": arguments.minutes, "requests": arguments.requests, "model": DEFAULT_MODEL}
    out = arguments.out.resolve()
    write(out.stem, workload=workload, results=found, tables=tables(found), folder=out.parent)
    wrong = failures(found)
    print("\n".join(wrong or ["Everything is as it must be."]))
    return 1 if wrong else 0


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A file system of its own that is soon full, where this may be mounted; else None."""
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        yield None
        return
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=False)


if __name__ == "__main__":
    sys.exit(main())
