"""What `pip install .` brings into an empty environment."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
NEEDED = {"steersman", "httpx", "msgspec", "anyio", "certifi", "h11", "httpcore", "idna", "typing-extensions"}
NEEDED |= {"sniffio", "pip", "setuptools"}
"""httpx, msgspec, what those need in one version or another, and what an empty environment has."""
USE = """
import steersman
try:
    steersman.Client("http://127.0.0.1:1", max_retries=0).health()
except steersman.APIConnectionError as error:
    print(error)
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("empty")
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", str(ROOT)], check=True)
    return python


def run(python: Path, *arguments: str) -> str:
    done = subprocess.run([str(python), *arguments], capture_output=True, text=True, check=True, cwd="/")
    return done.stdout


def test_nothing_comes_beyond_httpx_msgspec_and_what_those_need(python: Path) -> None:
    lines = run(python, "-m", "pip", "list", "--format=freeze").split()
    names = {line.partition("==")[0].partition("@")[0].replace("_", "-").lower() for line in lines}
    assert {"steersman", "httpx", "msgspec"} <= names <= NEEDED


def test_the_client_works_with_that(python: Path) -> None:
    assert "`steersman serve` starts one" in run(python, "-c", USE)


def test_it_says_that_it_is_typed(python: Path) -> None:
    code = (
        "import pathlib, steersman; print((pathlib.Path(steersman.__file__).parent / 'py.typed').is_file())"
    )
    assert run(python, "-c", code) == "True\n"


def test_commands_that_need_more_say_what(python: Path) -> None:
    assert "(needs pip install 'steersman[server]')" in run(python, "-m", "steersman", "--help")
