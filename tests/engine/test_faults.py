"""What goes wrong with one request, or with the engine, and what goes on."""

import asyncio
import gc
import logging
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from tests.engine.conftest import MakeEngine
from tests.engine.tools import Answer, ask, collect, prompt_of, request
from torch import Tensor

from steersman_engine.edits import AffineEdit
from steersman_engine.engine import EngineError, GenerateRequest
from steersman_engine.forward import Batch
from steersman_engine.host import HostModel
from steersman_engine.transformers_forward import TransformersForward

pytestmark = pytest.mark.usefixtures("quiet")
BAD = 99
"""A token at which the forward pass below breaks."""


@pytest.fixture
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL, logger="steersman_engine")


class Fragile(TransformersForward):
    """Raises at one token, or when told to."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.raises: Callable[[], Exception] = lambda: RuntimeError("broken")
        self.always = False

    def lower(self, token_ids: Tensor, batch: Batch) -> Tensor:
        if self.always or (token_ids == BAD).any():
            raise self.raises()
        return super().lower(token_ids, batch)


def together(engine, asked: Sequence[GenerateRequest]) -> list[Answer | BaseException]:
    async def gather() -> list[Answer | BaseException]:
        return await asyncio.gather(*(collect(engine, one) for one in asked), return_exceptions=True)

    return asyncio.run(gather())


@pytest.mark.parametrize(
    "error", [RuntimeError("broken"), torch.OutOfMemoryError("no memory"), MemoryError()]
)
def test_only_the_stream_at_fault_ends(make_engine: MakeEngine, error: Exception) -> None:
    engine = make_engine(forward=Fragile)
    engine._loop._stepper.forward.raises = lambda: error  # type: ignore[attr-defined]
    asked = [request(), request(prompt=prompt_of(1, 2, BAD)), request(edits=(AffineEdit(4, 0, 60.0),))]
    fine, failed, steered = together(engine, asked)
    assert isinstance(failed, EngineError) and type(error).__name__ in str(failed)
    assert isinstance(fine, Answer) and fine.tokens == ask(engine, asked[0]).tokens
    assert isinstance(steered, Answer) and steered.tokens == ask(engine, asked[2]).tokens
    assert engine.stats().slots_used == 0


def test_when_every_stream_fails_alone_the_engine_starts_over(make_engine: MakeEngine) -> None:
    engine = make_engine(forward=Fragile)
    expected = ask(engine, request()).tokens
    broken = engine._loop._stepper.forward
    broken.always = True  # type: ignore[attr-defined]
    found = together(engine, [request(), request(prompt=prompt_of(1, 7))])
    assert all(isinstance(one, EngineError) for one in found)
    assert ask(engine, request()).tokens == expected
    assert engine._loop._stepper.forward is not broken


def test_when_the_engine_starts_over_the_old_buffers_are_gone(make_engine: MakeEngine) -> None:
    engine = make_engine(forward=Fragile)
    cache = engine._loop._stepper.forward.cache
    buffers = [weakref.ref(buffer) for buffer in (cache.taps, *cache._kv, *cache.keys, *cache.values)]
    gc.disable()  # at once: there is no room for two
    try:
        while engine._loop._stepper.forward.cache is cache:  # until both are in one step
            engine._loop._stepper.forward.always = True  # type: ignore[attr-defined]
            together(engine, [request(), request(prompt=prompt_of(1, 7))])
        assert not any(buffer() is not None for buffer in buffers)
    finally:
        gc.enable()


class Breaking:
    """A mask that raises, or allows nothing, at the third token."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    def allowed(self, answer: Sequence[int]) -> Tensor | None:
        if len(answer) < 2:
            return None
        if self.error is not None:
            raise self.error
        return torch.zeros(259, dtype=torch.bool)


@pytest.mark.parametrize("error", [KeyError("grammar"), None])
def test_a_mask_that_fails_ends_its_own_request(make_engine: MakeEngine, error: Exception | None) -> None:
    engine = make_engine()
    failed, fine = together(engine, [request(mask=Breaking(error)), request()])
    assert isinstance(failed, EngineError)
    assert isinstance(fine, Answer) and len(fine.tokens) == 12
    assert engine.stats().slots_used == 0


def test_an_unknown_feature_or_token_ends_its_own_request(make_engine: MakeEngine) -> None:
    engine = make_engine()
    asked = [request(edits=(AffineEdit(10**6, 0, 1.0),)), request(prompt=prompt_of(1, 10**6)), request()]
    *failed, fine = together(engine, asked)
    assert all(isinstance(one, EngineError) for one in failed)
    assert isinstance(fine, Answer)


def test_logits_that_are_not_finite_end_their_own_request(
    make_engine: MakeEngine, tiny_host: HostModel
) -> None:
    engine = make_engine()
    failed, fine = together(engine, [request(edits=(AffineEdit(4, 0, float("inf")),)), request()])
    assert isinstance(failed, EngineError) and "finite" in str(failed)
    assert isinstance(fine, Answer) and fine.tokens == ask(engine, request()).tokens
