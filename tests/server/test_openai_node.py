"""OpenAI's Node package over a real connection. It is fetched once, into the user's cache."""

import shutil
import subprocess
from pathlib import Path

import pytest

from steersman_engine.commands import default_cache

HERE = Path(__file__).parent / "node"
INSTALL_S, RUN_S = 120, 60


@pytest.fixture(scope="module")
def folder() -> Path:
    """A folder with the script and the package."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node is not installed: OpenAI's Node package is not tried.")
    cache = default_cache() / "test" / "node-openai"
    cache.mkdir(parents=True, exist_ok=True)
    wanted = (HERE / "package.json").read_bytes()
    kept = cache / "package.json"
    if not ((cache / "node_modules" / "openai").is_dir() and kept.exists() and kept.read_bytes() == wanted):
        kept.write_bytes(wanted)
        command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
        done = subprocess.run(
            command, cwd=cache, capture_output=True, text=True, timeout=INSTALL_S, check=False
        )
        if done.returncode:
            kept.unlink()
            pytest.skip(f"npm cannot fetch OpenAI's Node package: {done.stderr[-300:]}")
    shutil.copy(HERE / "script.mjs", cache)
    return cache


def test_openais_node_package_finds_what_it_expects(folder, lasting_url, engine):
    command = ["node", "script.mjs", lasting_url]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=RUN_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ok ") == 12
