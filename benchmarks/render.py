"""Write the tables of the documents anew from `benchmarks/results/*.json`.

    python benchmarks/render.py [--check] [document ...]

A table stands between two comments; its name is that of the results file, a dot, and the table's name there:

    <!-- table: engine.streams -->
    <!-- end -->

Machine, commit and date go below each table. `--check` writes nothing and fails where a document is stale.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
RESULTS = Path(__file__).parent / "results"
MARKED = re.compile(r"(<!-- table: (?P<name>[\w.-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
NUMBER = re.compile(r"[−+×<>≥≤~]?[\d.,]+(\s?(%|×|ms|s|GB/s|GFLOP/s))?|[–—-]")


def rendered(document: str, table: Callable[[str], str]) -> str:
    """The document with every marked table replaced by `table(name)`."""
    return MARKED.sub(lambda match: f"{match[1]}{table(match['name'])}\n{match[3]}", document)


def table_of(name: str, folder: Path = RESULTS) -> str:
    """The table `<results file>.<table>` in Markdown, with its provenance below.

    Raises:
        ValueError: There is no such file, or no such table in it.
    """
    stem, _, key = name.rpartition(".")
    path = folder / f"{stem}.json"
    if not path.is_file():
        raise ValueError(f"Table {name}: there is no {path.name} in {folder}. Run its benchmark first.")
    found = json.loads(path.read_text(encoding="utf-8"))
    if key not in found["tables"]:
        raise ValueError(f"Table {name}: {path.name} has {sorted(found['tables'])}.")
    table = found["tables"][key]
    return f"{markdown(table['columns'], table['rows'])}\n\n{provenance(found, table.get('note', ''))}"


def markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; columns of numbers are set right."""
    right = [
        bool(rows) and all(NUMBER.fullmatch(row[i].strip("*")) for row in rows) for i in range(len(columns))
    ]
    lines = [columns, ["--:" if is_number else "---" for is_number in right], *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def provenance(found: dict[str, Any], note: str) -> str:
    """One line that says where, when and with what it was measured."""
    hardware = found["hardware"]
    units = "+".join(unit.upper() for unit in hardware["units"])
    machine = ", ".join(hardware["gpus"]) or f"{hardware['cpu']}, {hardware['cores']} cores {units}".rstrip()
    software = " ".join(f"{name} {release}" for name, release in found["software"].items())
    sentence = f"{note} " if note else ""
    return f"<sub>{sentence}{machine}; {software}; commit {found['commit']}, {found['date']}.</sub>"


def documents() -> list[Path]:
    """The README and everything in `docs/`."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "documents", nargs="*", type=Path, help="Markdown files (default: README.md and docs/)"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail where a table is stale")
    arguments = parser.parse_args()
    stale = []
    for path in arguments.documents or documents():
        before = path.read_text(encoding="utf-8")
        after = rendered(before, table_of)
        if after != before:
            stale.append(path)
            if not arguments.check:
                path.write_text(after, encoding="utf-8")
    for path in stale:
        print(("stale: " if arguments.check else "wrote ") + str(path))
    return int(arguments.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
