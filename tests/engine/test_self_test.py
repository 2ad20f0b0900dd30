"""An engine that does not do what it should is refused at the start."""

import pytest
import torch
from tests.engine.conftest import MakeEngine
from tests.engine.tools import NO_SINKS
from torch import Tensor

from steersman_engine.engine import EngineError
from steersman_engine.forward import Batch
from steersman_engine.host import HostModel
from steersman_engine.local_engine import EngineConfig, LocalEngine
from steersman_engine.self_test import check_engine
from steersman_engine.step import Stepper
from steersman_engine.transformers_forward import TransformersForward

IDS = torch.tensor([[1, *range(30, 60)]])


class Wrong(TransformersForward):
    def upper(self, x: Tensor, batch: Batch, keep: Tensor) -> Tensor:
        return super().upper(x.flip(-1), batch, keep)


class Leaking(TransformersForward):
    """The first row of a batch bears the mean of all, so that a steered one moves the others."""

    def upper(self, x: Tensor, batch: Batch, keep: Tensor) -> Tensor:
        logits = super().upper(x, batch, keep)
        return logits if len(logits) < 2 else logits.mean(0).expand_as(logits)


def test_an_engine_that_works_passes(engine: LocalEngine, tiny_host: HostModel) -> None:
    check_engine(engine, tiny_host, IDS, NO_SINKS)


def test_another_model_than_the_host_is_refused(make_engine: MakeEngine, tiny_host: HostModel) -> None:
    with pytest.raises(EngineError, match="A plain request is not answered"):
        check_engine(make_engine(forward=Wrong), tiny_host, IDS, NO_SINKS)


def test_an_edit_that_leaks_is_refused(make_engine: MakeEngine, tiny_host: HostModel) -> None:
    with pytest.raises(EngineError, match="beside a steered one"):
        check_engine(make_engine(EngineConfig(num_slots=2), forward=Leaking), tiny_host, IDS, NO_SINKS)


def test_an_edit_without_effect_is_refused(
    engine: LocalEngine, tiny_host: HostModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stepper, "_steer", lambda self, resid, *_: resid)
    with pytest.raises(EngineError, match="does not change the logits"):
        check_engine(engine, tiny_host, IDS, NO_SINKS)
