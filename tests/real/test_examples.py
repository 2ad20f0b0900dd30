"""Every example and every piece of the SDK's documents, on the real server."""

import contextlib
import importlib
import importlib.util
import io
import re
from collections.abc import Iterator
from difflib import unified_diff
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from litestar.testing import TestClient
from openai import OpenAI

from steersman import Client
from steersman_engine.serving import Loaded
from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.served import ServedModel

pytestmark = pytest.mark.real
ROOT = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in (ROOT / "examples").glob("*.py"))
NUMBER = re.compile(r"[+-]?\d+\.\d+|█+")


@pytest.fixture(scope="module")
def http(loaded: Loaded) -> Iterator[TestClient]:
    with TestClient(create_app(ServedModel.of(loaded), ServerConfig()), base_url="http://127.0.0.1") as http:
        yield http


@pytest.fixture(scope="module")
def renderer() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")
        yield importlib.import_module("examples")


def module_of(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def printed(name: str, http: TestClient, monkeypatch: pytest.MonkeyPatch) -> str:
    module, out = module_of(name), io.StringIO()
    with contextlib.redirect_stdout(out):
        if name == "steer":
            monkeypatch.setattr(module, "OpenAI", lambda **options: OpenAI(**options, http_client=http))  # type: ignore[arg-type]
            module.main("http://127.0.0.1/v1")
        else:
            module.main(Client(http=http))
    return out.getvalue().strip("\n")


@pytest.mark.parametrize("name", NAMES)
def test_the_documents_show_what_an_example_prints(
    name: str, http: TestClient, renderer: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words must be equal, and numbers nearly: their last digits depend on the processor."""
    shown: dict[str, str] = {}
    for document in renderer.DOCUMENTS:
        shown |= renderer.outputs(document.read_text(encoding="utf-8"))
    now = printed(name, http, monkeypatch)
    diff = "\n".join(unified_diff(shown[name].splitlines(), now.splitlines(), lineterm=""))
    message = f"run: python benchmarks/examples.py\n{diff}"
    assert NUMBER.split(now) == NUMBER.split(shown[name]), message
    for one, other in zip(NUMBER.findall(now), NUMBER.findall(shown[name]), strict=True):
        if one[0] != "█":
            assert float(one) == pytest.approx(float(other), rel=0.03, abs=0.03), message


@pytest.mark.parametrize("name", ["sdk", "from-goodfire"])
def test_the_documented_code_runs(name: str, http: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("steersman.Client", lambda: Client(http=http))
    scope: dict[str, Any] = {}
    for code in re.findall(r"```python\n(.*?)```", (ROOT / f"docs/{name}.md").read_text("utf-8"), re.DOTALL):
        exec(code, scope)
    assert scope["client"].health().status == "ok"


def test_the_plot_has_a_dot_for_each_strength() -> None:
    module = module_of("sweep_strengths")
    drawn = module.svg(module.STRENGTHS, [-1.0] * len(module.STRENGTHS), "x")
    assert drawn.count("<circle") == len(module.STRENGTHS)
