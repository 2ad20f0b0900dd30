"""Residuals that a learner of each architecture can be tried on."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from steersman_training.architectures import LEARNERS, Learner
from steersman_training.train_config import AnyArchitecture, TrainConfig

D_IN, D_SAE, BATCH = 16, 96, 64

MakeLearner = Callable[[AnyArchitecture], Learner]


@pytest.fixture
def x() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(BATCH, D_IN, generator=generator) @ torch.randn(D_IN, D_IN, generator=generator)


@pytest.fixture
def make(x: Tensor) -> MakeLearner:
    """A learner of 96 features with biases and norms that no start would have."""

    def made(architecture: AnyArchitecture) -> Learner:
        config = TrainConfig(
            architecture=architecture, d_sae=D_SAE, num_samples=10_000, dead_after=100, dtype="float32"
        )
        learner = LEARNERS[type(architecture)](config, x)
        generator = torch.Generator().manual_seed(1)
        for name, parameter in learner.named_parameters():
            if name not in ("W_enc", "W_dec"):
                parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
        return learner

    return made
