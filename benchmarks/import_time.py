"""What `import steersman` takes, in an empty environment and beside what it is made of.

    python benchmarks/import_time.py [--runs 15]

Makes a virtual environment, installs this checkout and, for comparison, OpenAI's client into another, and
times fresh interpreters, in turns. The interpreter's own start is taken off.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from facts import ROOT, Table, write

LIMIT_S = 0.25


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=15, help="(default: %(default)s)")
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        ours = environment(Path(folder) / "ours", str(ROOT))
        theirs = environment(Path(folder) / "theirs", "openai")
        programs = {
            "(the interpreter alone)": (ours, "pass"),
            "msgspec": (ours, "import msgspec"),
            "httpx": (ours, "import httpx"),
            "steersman": (ours, "import steersman"),
            "openai, for comparison": (theirs, "import openai"),
        }
        times: dict[str, list[float]] = {name: [] for name in programs}
        for _ in range(runs + 1):
            for name, (python, code) in programs.items():
                times[name].append(seconds(python, code))
        packages = installed(ours)
    start = statistics.median(times.pop("(the interpreter alone)")[1:])
    medians = {name: statistics.median(found[1:]) - start for name, found in times.items()}
    table = Table(
        columns=["import", "ms"],
        rows=[[name, f"{1000 * median:.0f}"] for name, median in medians.items()],
        note=f"Medians of {runs}, beyond the interpreter's {1000 * start:.0f} ms.",
    )
    print(
        write(
            "import_time",
            workload={"runs": runs},
            results={"median_s": medians, "start_s": start, "limit_s": LIMIT_S, "installed": packages},
            tables={"import": table},
            packages=("httpx", "msgspec"),
        )
    )
    print("\n".join(" | ".join(row) for row in table.rows))
    if start + medians["steersman"] >= LIMIT_S:
        sys.exit(f"steersman takes {start + medians['steersman']:.3f} s to start: {LIMIT_S} s is the limit.")


def environment(folder: Path, package: str) -> Path:
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", package], check=True)
    return python


def seconds(python: Path, code: str) -> float:
    began = time.perf_counter()
    subprocess.run([str(python), "-c", code], check=True)
    return time.perf_counter() - began


def installed(python: Path) -> list[str]:
    listed = subprocess.run(
        [str(python), "-m", "pip", "list", "--format=freeze"], capture_output=True, text=True, check=True
    )
    return listed.stdout.split()


if __name__ == "__main__":
    main()
