import pytest
import torch
from torch import Tensor

from steersman_training.architectures.jump_relu import Jump
from steersman_training.architectures.jump_relu import JumpReLU as Learns
from steersman_training.train_config import JumpReLU, TrainConfig

NONE = torch.empty(0, dtype=torch.long)


def test_the_loss_is_that_of_the_formula(make, x: Tensor) -> None:
    learner: Learns = make(JumpReLU(sparsity=0.3, sparsity_warmup=0.5, pre_act=0.01, tanh_scale=4.0))
    threshold, norm = learner.log_threshold.double().exp(), learner.W_dec.double().norm(dim=-1)
    pre = x.double() @ learner.W_enc.double() + learner.b_enc.double()
    f = torch.where(pre > threshold, pre, 0)
    error = (x.double() - f @ learner.W_dec.double() - learner.b_dec.double()).square().sum()
    sparsity = torch.tanh(4 * f * norm).sum()
    below = ((threshold - pre).relu() * norm).sum()
    expected = (error + 0.15 * sparsity + 0.01 * below) / len(x)
    torch.testing.assert_close(learner(x, progress=0.25, dead=NONE).loss, expected.float())


def test_gradients_are_of_the_jump_s_estimate_in_its_window() -> None:
    pre = torch.tensor([[0.2], [0.9], [1.1], [3.0]], requires_grad=True)
    threshold = torch.tensor([1.0], requires_grad=True)
    out = Jump.apply(pre, threshold, 0.5)
    assert out.detach().flatten().tolist() == pytest.approx([0, 0, 1.1, 3.0])
    out.backward(torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
    assert pre.grad is not None and threshold.grad is not None
    assert pre.grad.flatten().tolist() == pytest.approx([0, 2 * 2, 3 + 3 * 2, 4])  # θ / bandwidth is 2
    assert threshold.grad.tolist() == pytest.approx([-(2 * 2 + 3 * 2)])


def test_the_first_biases_let_as_many_features_fire_as_asked_for(x: Tensor) -> None:
    config = TrainConfig(
        architecture=JumpReLU(initial_l0=24), d_sae=96, num_samples=10_000, dead_after=1, dtype="float32"
    )
    learner = Learns(config, x)
    assert learner.active(x).sum(dim=-1).float().mean().item() == pytest.approx(24, abs=2)
