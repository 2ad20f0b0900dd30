"""README's example: OpenAI's own client on the real server."""

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest
from litestar.testing import TestClient
from openai import NotFoundError, OpenAI

from steersman_engine.serving import Loaded
from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.served import ServedModel

pytestmark = pytest.mark.real
EXAMPLE = Path(__file__).parents[2] / "examples" / "steer.py"
FOOD = re.compile(r"\b(food|culinary|delicious|recipe|meal|cook)", re.IGNORECASE)


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("steer", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def client(loaded: Loaded) -> OpenAI:
    http = TestClient(create_app(ServedModel.of(loaded), ServerConfig()), base_url="http://127.0.0.1")
    return OpenAI(base_url="http://127.0.0.1/v1", api_key="none", http_client=http)  # type: ignore[arg-type]


def test_a_food_feature_turns_an_unrelated_answer_to_food(client: OpenAI, example: ModuleType) -> None:
    plain = example.ask(client).choices[0].message.content
    edit = {"feature": example.FEATURE, "strength": example.STRENGTH}
    steered = example.ask(client, feature_edits=[edit])
    assert not FOOD.search(plain)
    assert FOOD.search(steered.choices[0].message.content)
    assert steered.model_extra["steering"]["edits"][0]["tokens_edited"] > 30


def test_attribution_lists_labelled_features(client: OpenAI, example: ModuleType) -> None:
    answer = example.ask(client, attribution={"tokens": [0, 1], "top_k": 5})
    (attribution,) = answer.model_extra["attribution"]
    assert [token["index"] for token in attribution["tokens"]] == [0, 1]
    for token in attribution["tokens"]:
        assert len(token["features"]) == 5
        assert all(feature["label"] and feature["h_max"] > 0 for feature in token["features"])


def test_a_feature_beyond_the_last_is_named(client: OpenAI, example: ModuleType) -> None:
    with pytest.raises(NotFoundError, match="No feature 4608"):
        example.ask(client, feature_edits=[{"feature": 4608, "strength": 0.5}])
