"""What a reader needs to judge a figure: the machine, the code and the workload it was measured with.

Every benchmark ends with `write`, which puts its results beside these facts in
`benchmarks/results/<name>.json`. `render.py` makes the tables of the documents from such files.
"""

import json
import os
import platform
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
SOURCES = ("sdk", "catalog", "server", "training", "benchmarks")
"""Folders whose uncommitted changes make a figure's commit inexact."""
CPU_UNITS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16", "amx_int8")
PACKAGES = ("torch", "transformers", "numpy")


@dataclass(frozen=True, slots=True)
class Table:
    """A table of a document; cells are text, as they are to be read."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    """A sentence below it, beside machine and commit."""


def write(
    name: str,
    *,
    workload: Mapping[str, Any],
    results: Any,
    tables: Mapping[str, Table],
    folder: Path = RESULTS,
    packages: Sequence[str] = PACKAGES,
) -> Path:
    """Save what was measured as `<name>.json`, with hardware, software and commit, and give its path.

    `results` are the raw figures; `tables` are made of nothing else.
    """
    found = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "commit": commit(),
        "hardware": hardware(),
        "software": {"python": platform.python_version(), **_versions(packages)},
        "workload": dict(workload),
        "results": results,
        "tables": {
            key: {
                "columns": list(table.columns),
                "rows": [list(row) for row in table.rows],
                "note": table.note,
            }
            for key, table in tables.items()
        },
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def results_of(name: str, folder: Path = RESULTS) -> Any:
    """The raw figures that `write` saved by this name, or None."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))["results"] if path.is_file() else None


def commit() -> str:
    """The short hash, with `+` where the sources differ from it; `unknown` outside a checkout."""
    try:
        head = _git("rev-parse", "--short=10", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", *SOURCES)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return head + ("+" if changed else "")


def hardware() -> dict[str, Any]:
    """Processor, its vector units, usable cores, memory and GPUs."""
    found: dict[str, Any] = {"cores": usable_cores(), "machine": platform.machine()}
    info = Path("/proc/cpuinfo")
    if info.is_file():
        text = info.read_text(encoding="utf-8")
        flags = set((_first(r"^flags\s*: (.*)$", text) or "").split())
        found["cpu"] = _first(r"^model name\s*: (.*)$", text) or platform.processor()
        found["units"] = [unit for unit in CPU_UNITS if unit in flags]
    else:
        found["cpu"], found["units"] = platform.processor(), []
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        found["memory_gib"] = round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    found["gpus"] = _gpus()
    return found


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_average() -> float | None:
    """Processes that ran or waited over the last minute; None where the system does not say."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _gpus() -> list[str]:
    try:
        query = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
        listed = subprocess.run(query, capture_output=True, text=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return []
    return [line.strip() for line in listed.splitlines() if line.strip()]


def _versions(packages: Sequence[str]) -> dict[str, str]:
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _first(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1].strip() if match else None
