"""The soak with the default model, for as long as you say.

    python -m tests.soak --minutes 20 --raw seen.json [--requests 1000]

It starts `steersman serve` with a copy of the bundle that ships, on a free port. It judges nothing: what it
saw is in the file that `--raw` names. As root it fills a small tmpfs to see what a full disk does; otherwise
a limit on the size of files stands for it.
"""

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.soak.run import Setup, soak

from steersman_engine.bundle import SHIPPED
from steersman_engine.presets import DEFAULT_MODEL, PRESETS

DISK_BYTES = 16 * 2**20


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=20, help="at least so long (default: %(default)s)")
    parser.add_argument("--requests", type=int, default=1000, help="at least so many (default: %(default)s)")
    parser.add_argument("--per-round", type=int, default=150, help="between two looks for leaks")
    parser.add_argument("--raw", type=Path, help="write all that was seen here as well")
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
    if arguments.raw:
        arguments.raw.write_text(json.dumps(found, indent=1))


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
    main()
