import pytest
import torch
from torch import Tensor

from steersman_training.batch_topk import BatchTopK
from steersman_training.sparse import largest

D_IN, D_SAE, K, BATCH = 16, 96, 5, 64


@pytest.fixture
def x() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(BATCH, D_IN, generator=generator) @ torch.randn(D_IN, D_IN, generator=generator)


@pytest.fixture
def learner(x: Tensor) -> BatchTopK:
    generator = torch.Generator().manual_seed(1)
    sae = BatchTopK(x.mean(dim=0), D_SAE, K, generator=generator, dtype=torch.float32)
    torch.nn.init.normal_(sae.b_enc, std=0.1, generator=generator)
    return sae


def dense_acts(sae: BatchTopK, x: Tensor, k: int = K) -> Tensor:
    """BatchTopK as its paper writes it."""
    pre = torch.relu((x - sae.centre) @ sae.W_enc + sae.b_enc)
    smallest = pre.flatten().topk(k * len(x)).values[-1]
    return pre * (pre >= smallest)


def test_the_batch_keeps_k_activations_a_token(learner: BatchTopK, x: Tensor) -> None:
    assert len(learner(x).values) == K * BATCH


def test_the_reconstruction_is_that_of_the_dense_formula(learner: BatchTopK, x: Tensor) -> None:
    expected = dense_acts(learner, x) @ learner.W_dec + learner.b_dec
    torch.testing.assert_close(learner(x).x_hat, expected)


@pytest.mark.parametrize("name", ["W_enc", "b_enc", "W_dec", "b_dec"])
def test_the_gradient_is_that_of_the_dense_formula(learner: BatchTopK, x: Tensor, name: str) -> None:
    parameter = getattr(learner, name)
    x_hat = dense_acts(learner, x) @ learner.W_dec + learner.b_dec
    unexplained = (x - x_hat).square().sum() / (x - x.mean(dim=0)).square().sum()
    (expected,) = torch.autograd.grad(unexplained, parameter)
    loss = learner.loss(learner(x), aux_alpha=1.0, k_aux=8, dead_after=1)
    (found,) = torch.autograd.grad(loss, parameter)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("floor", [0.0, 0.5, 1e6])
def test_no_floor_changes_which_activations_are_the_largest(floor: float) -> None:
    pre = torch.randn(32, 50, generator=torch.Generator().manual_seed(2))
    active = largest(pre, 100, floor)
    expected = (pre >= pre.flatten().topk(100).values[-1]).nonzero()
    assert torch.equal(torch.stack([active.token, active.feature], dim=1), expected)


def test_when_few_activations_are_above_zero_all_are_kept() -> None:
    pre = torch.full((4, 6), -1.0)
    pre[2, 3] = 1.0
    active = largest(pre, 8, 0.0)
    assert (active.token.tolist(), active.feature.tolist()) == ([2], [3])


def test_the_served_form_reconstructs_what_the_learner_did(learner: BatchTopK, x: Tensor) -> None:
    learner.observe(learner(x), threshold_decay=0.9)
    learner.threshold *= 0.99999  # just below the smallest activation that was kept
    scale = 0.25
    served = learner.to_sae(scale)
    torch.testing.assert_close(served(x / scale), learner(x).x_hat / scale)


def test_served_activations_are_lengths_in_the_raw_residual_stream(learner: BatchTopK, x: Tensor) -> None:
    learner.observe(learner(x), threshold_decay=0.9)
    learner.threshold *= 0.99999
    made = learner(x)
    served = learner.to_sae(0.25).encode(x / 0.25)
    torch.testing.assert_close(served[made.active.token, made.active.feature], made.values / 0.25)


def test_the_served_l0_counts_what_the_served_form_keeps(learner: BatchTopK, x: Tensor) -> None:
    learner.threshold.fill_(1.3)
    expected = (learner.to_sae(0.5).encode(x / 0.5) > 0).sum(dim=-1).float().mean().item()
    assert learner.served_l0(x) == pytest.approx(expected)


def test_dead_features_learn_only_from_what_the_others_missed(learner: BatchTopK, x: Tensor) -> None:
    learner.k = 1
    made = learner(x)
    dead = ~(dense_acts(learner, x, k=1) > 0).any(dim=0)
    learner.silent[dead] = 1000
    plain = learner.loss(made, aux_alpha=0.0, k_aux=8, dead_after=1000)
    assert not torch.autograd.grad(plain, learner.W_enc, retain_graph=True)[0][:, dead].any()
    error = (x - made.x_hat).detach()
    pre = torch.relu((x - learner.centre) @ learner.W_enc[:, dead] + learner.b_enc[dead])
    smallest = pre.topk(8, dim=-1).values[:, -1:]
    missed = error - pre * (pre >= smallest) @ learner.W_dec[dead]
    expected = made.unexplained + missed.square().sum() / error.square().sum() / 32
    found = learner.loss(made, aux_alpha=1 / 32, k_aux=8, dead_after=1000)
    torch.testing.assert_close(found, expected)
    assert torch.autograd.grad(found, learner.W_enc)[0][:, dead].any()


def test_a_projected_gradient_does_not_change_a_decoder_rows_length(learner: BatchTopK, x: Tensor) -> None:
    learner(x).unexplained.backward()
    learner.project_gradient()
    assert learner.W_dec.grad is not None
    along = (learner.W_dec.grad * learner.W_dec).sum(dim=-1)
    torch.testing.assert_close(along, torch.zeros(D_SAE), atol=1e-6, rtol=0)


def test_a_feature_is_silent_for_the_tokens_since_it_was_active(learner: BatchTopK, x: Tensor) -> None:
    made = learner(x)
    learner.observe(made, threshold_decay=0.9)
    active = (dense_acts(learner, x) > 0).any(dim=0)
    assert torch.equal(learner.silent, torch.where(active, 0, BATCH))
