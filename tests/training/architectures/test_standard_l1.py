import pytest
import torch
from torch import Tensor

from steersman_training.architectures.standard_l1 import StandardL1 as Learns
from steersman_training.train_config import StandardL1, TrainConfig

NONE = torch.empty(0, dtype=torch.long)
L1 = 0.7


@pytest.fixture
def learner(make) -> Learns:
    return make(StandardL1(l1=L1, l1_warmup=0.5, decoder_init_norm=0.3))


@pytest.mark.parametrize("l0", [0.0, 1.0])
def test_dense_and_sparse_steps_have_the_loss_and_gradients_of_the_formula(
    learner: Learns, x: Tensor, l0: float
) -> None:
    learner.penalty.l0.fill_(l0)  # 1 of 96 is sparse
    f = torch.relu(x.double() @ learner.W_enc.double() + learner.b_enc.double())
    W_dec = learner.W_dec.double()
    x_hat = f @ W_dec + learner.b_dec.double()
    squared = (x.double() - x_hat).square().sum(dim=-1)
    expected = (squared + 0.5 * L1 * (f * W_dec.norm(dim=-1)).sum(dim=-1)).mean()
    found = learner(x, progress=0.25, dead=NONE).loss
    torch.testing.assert_close(found, expected.float())
    parameters = [learner.W_enc, learner.b_enc, learner.W_dec, learner.b_dec]
    for ours, theirs in zip(
        torch.autograd.grad(found, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_firings_count_the_tokens_each_feature_is_active_on(learner: Learns, x: Tensor) -> None:
    expected = (x @ learner.W_enc + learner.b_enc > 0).sum(dim=0)
    assert torch.equal(learner(x, progress=1.0, dead=NONE).firings, expected)


def test_it_begins_as_the_april_recipe_has_it(x: Tensor) -> None:
    config = TrainConfig(
        architecture=StandardL1(), d_sae=96, num_samples=10_000, dead_after=1, dtype="float32"
    )
    learner = Learns(config, x)
    torch.testing.assert_close(learner.W_dec.norm(dim=-1), torch.full((96,), 0.1))
    assert torch.equal(learner.W_enc, learner.W_dec.T)
    assert not learner.b_enc.any() and not learner.b_dec.any()
