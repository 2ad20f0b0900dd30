"""Which package may import which, read from the source."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import steersman

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "sdk/steersman": set(),
    "catalog/steersman_catalog": {"steersman"},
    "server/steersman_engine": {"steersman", "steersman_catalog"},
    "server/steersman_server": {"steersman", "steersman_catalog", "steersman_engine"},
    "training/steersman_training": {"steersman", "steersman_catalog", "steersman_engine"},
}
OURS = {Path(folder).name for folder in MAY_IMPORT}
HEAVY = {"torch", "litestar", "duckdb", "numpy", "transformers"}


def imports(folder: str) -> set[tuple[str, str]]:
    """The file and the top-level package of every import in `folder`, wherever it stands."""
    found = set()
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or "" if node.level == 0 else "(relative)"]
            found |= {(str(path.relative_to(ROOT)), name.partition(".")[0]) for name in names}
    return found


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_point_one_way(folder: str) -> None:
    allowed = MAY_IMPORT[folder] | {Path(folder).name}
    assert [entry for entry in imports(folder) if entry[1] in OURS - allowed] == []


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_imports_are_absolute(folder: str) -> None:
    assert [path for path, name in imports(folder) if name == "(relative)"] == []


def test_every_package_is_looked_at() -> None:
    packages = {str(path.parent.relative_to(ROOT)) for path in ROOT.glob("*/steersman*/__init__.py")}
    assert packages == set(MAY_IMPORT)


def test_the_sdk_needs_httpx_and_msgspec_only() -> None:
    allowed = sys.stdlib_module_names | {"steersman", "httpx", "msgspec"}
    assert [entry for entry in imports("sdk/steersman") if entry[1] not in allowed] == []


def test_the_catalog_needs_no_model() -> None:
    forbidden = {"torch", "transformers", "litestar"}
    assert [entry for entry in imports("catalog/steersman_catalog") if entry[1] in forbidden] == []


@pytest.mark.parametrize("module", ["steersman", "steersman.terminal", "steersman.cli"])
def test_the_sdk_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*({HEAVY!r} & sys.modules.keys()))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.split() == []


def test_what_the_sdk_offers_is_sorted_and_there() -> None:
    assert steersman.__all__ == sorted(steersman.__all__)
    assert all(hasattr(steersman, name) for name in steersman.__all__)
