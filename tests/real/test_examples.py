"""Every example, on the real server, with what it prints."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from litestar.testing import TestClient

from steersman import Client
from steersman_engine.serving import Loaded
from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.served import ServedModel

pytestmark = pytest.mark.real
EXAMPLES = Path(__file__).parents[2] / "examples"
SAYS = {
    "audit_system_prompt": "switched on by the system prompt",
    "explain_and_act": "With the first two turned down",
    "find_by_contrast": "Steered:",
    "stop_on_a_feature": "It ended with",
    "sweep_strengths": "+1.0",
}


@pytest.fixture(scope="module")
def client(loaded: Loaded) -> Iterator[Client]:
    with TestClient(create_app(ServedModel.of(loaded), ServerConfig()), base_url="http://127.0.0.1") as http:
        yield Client(http=http)


@pytest.mark.parametrize("name", SAYS)
def test_an_example_runs(name: str, client: Client, capsys: pytest.CaptureFixture[str]) -> None:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(client)
    assert SAYS[name] in capsys.readouterr().out


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {*SAYS, "steer"}
