"""What every architecture's export promises."""

import pytest
import torch
from torch import Tensor

from steersman_training import train_config

SCALE = 0.25
NONE = torch.empty(0, dtype=torch.long)
ALL = [
    train_config.StandardL1(decoder_init_norm=0.3),
    train_config.BatchTopK(k=5),
    train_config.Matryoshka(k=5),
    train_config.JumpReLU(),
    train_config.Gated(),
]
named = pytest.mark.parametrize("options", ALL, ids=lambda each: each.name)


@named
def test_it_reconstructs_the_raw_stream_as_the_learner_did_the_scaled_one(make, x: Tensor, options) -> None:
    learner = make(options)
    error = learner(x, progress=1.0, dead=NONE).error
    if hasattr(learner, "threshold"):
        learner.threshold *= 0.99999  # just below the smallest activation that was kept
    missed = (x / SCALE - learner.to_sae(SCALE)(x / SCALE)).square().sum()
    torch.testing.assert_close(missed * SCALE**2, error, rtol=1e-4, atol=0)


@named
def test_the_learner_knows_which_features_it_keeps(make, x: Tensor, options) -> None:
    learner = make(options)
    learner(x, progress=1.0, dead=NONE)
    served = learner.to_sae(SCALE).encode(x / SCALE) > 0
    assert (served != learner.active(x)).sum() <= 1  # one may lie on its threshold


@named
def test_decoder_rows_have_unit_norm(make, options) -> None:
    torch.testing.assert_close(make(options).to_sae(SCALE).W_dec.norm(dim=-1), torch.ones(96))


def test_topk_is_served_with_k_active_on_average(make, x: Tensor) -> None:
    learner = make(train_config.TopK(k=5))
    learner(x, progress=1.0, dead=NONE)
    learner.threshold *= 0.99999
    served = learner.to_sae(SCALE).encode(x / SCALE) > 0
    assert served.sum(dim=-1).float().mean().item() == pytest.approx(5)
