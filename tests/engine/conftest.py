"""Small engines over the tiny model."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.engine.tools import NO_SINKS, SMALL

from steersman_engine.host import HostModel
from steersman_engine.local_engine import EngineConfig, LocalEngine
from steersman_engine.sae import SAE

MakeEngine = Callable[..., LocalEngine]


@pytest.fixture
def make_engine(tiny_host: HostModel, tiny_sae: SAE) -> Iterator[MakeEngine]:
    """Makes engines over the tiny model, and closes them."""
    made: list[LocalEngine] = []

    def make(config: EngineConfig = SMALL, *, sink_norm: float = NO_SINKS, **options: Any) -> LocalEngine:
        made.append(LocalEngine(tiny_host, tiny_sae, sink_norm=sink_norm, config=config, **options))
        return made[-1]

    yield make
    for engine in made:
        asyncio.run(engine.aclose())


@pytest.fixture
def engine(make_engine: MakeEngine) -> LocalEngine:
    return make_engine()
