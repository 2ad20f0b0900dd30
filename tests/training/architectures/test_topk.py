import pytest
import torch
from torch import Tensor

from steersman_training import train_config
from steersman_training.architectures.topk import BatchTopK
from steersman_training.sparse import BITS, above, largest

BATCH, D_SAE, K = 64, 96, 5
NONE = torch.empty(0, dtype=torch.long)


@pytest.fixture
def learner(make) -> BatchTopK:
    return make(train_config.BatchTopK(k=K, aux_alpha=1 / 32, threshold_decay=0.9))


def dense_acts(sae: BatchTopK, x: Tensor, k: int = K, *, each_token: bool = False) -> Tensor:
    """BatchTopK, or TopK, as its paper writes it, in float64."""
    pre = torch.relu((x - sae.centre).double() @ sae.W_enc.double() + sae.b_enc.double())
    if each_token:
        return pre * (pre >= pre.topk(k, dim=-1).values[:, -1:])
    return pre * (pre >= pre.flatten().topk(k * len(x)).values[-1])


def dense_loss(sae: BatchTopK, x: Tensor, acts: Tensor) -> Tensor:
    error = x.double() - acts @ sae.W_dec.double() - sae.b_dec.double()
    return error.square().sum() / (x - x.mean(dim=0)).double().square().sum()


def step(sae: BatchTopK, x: Tensor, dead: Tensor = NONE):
    return sae(x, progress=0.5, dead=dead)


def test_the_batch_keeps_k_activations_a_token(learner: BatchTopK, x: Tensor) -> None:
    assert step(learner, x).firings.sum() == K * BATCH


def test_topk_keeps_k_activations_of_each_token(make, x: Tensor) -> None:
    learner = make(train_config.TopK(k=K))
    kept = torch.zeros(BATCH * D_SAE, dtype=torch.bool)
    kept[learner.choose(learner.pre_acts(x))] = True
    assert kept.view(BATCH, D_SAE).sum(dim=1).tolist() == [K] * BATCH


@pytest.mark.parametrize("kind", [train_config.BatchTopK, train_config.TopK])
def test_the_loss_and_its_gradients_are_those_of_the_dense_formula(make, x: Tensor, kind) -> None:
    learner = make(kind(k=K))
    expected = dense_loss(learner, x, dense_acts(learner, x, each_token=kind is train_config.TopK))
    found = step(learner, x).loss
    torch.testing.assert_close(found, expected.float())
    parameters = [learner.W_enc, learner.b_enc, learner.W_dec, learner.b_dec]
    for ours, theirs in zip(
        torch.autograd.grad(found, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("floor", [0.0, 0.5, 1e6])
def test_no_floor_changes_which_activations_are_the_largest(floor: float) -> None:
    pre = torch.randn(32, 50, generator=torch.Generator().manual_seed(2))
    expected = (pre.flatten() >= pre.flatten().topk(100).values[-1]).nonzero()[:, 0]
    assert torch.equal(largest(pre, 100, floor), expected)


@pytest.mark.parametrize("dtype", BITS)
@pytest.mark.parametrize("threshold", [0.0, 0.37, 1e-30, 3.0])
def test_what_is_above_a_threshold_is_found_whatever_the_floats(dtype: torch.dtype, threshold: float) -> None:
    pre = torch.randn(64, 96, generator=torch.Generator().manual_seed(5)).to(dtype)
    rounded = float(torch.tensor(threshold, dtype=dtype))
    pre[0, :5] = torch.tensor([0.0, -0.0, rounded, -rounded, torch.inf]).to(dtype)
    assert torch.equal(above(pre, threshold), (pre.double() > rounded).flatten().nonzero()[:, 0])


def test_when_few_activations_are_above_zero_all_are_kept() -> None:
    pre = torch.full((4, 6), -1.0)
    pre[2, 3] = 1.0
    assert largest(pre, 8, 0.0).tolist() == [15]


def test_of_equal_activations_no_more_than_asked_for_are_kept() -> None:
    assert len(largest(torch.ones(4, 6), 8, 0.0)) == 8


def test_the_threshold_moves_to_the_smallest_activation_kept(learner: BatchTopK, x: Tensor) -> None:
    acts = dense_acts(learner, x)
    smallest = acts[acts > 0].min().item()
    step(learner, x)
    assert learner.threshold.item() == pytest.approx(smallest)
    learner.threshold.fill_(1.0)
    step(learner, x)
    assert learner.threshold.item() == pytest.approx(0.9 + 0.1 * smallest)


def test_a_batch_that_keeps_nothing_leaves_the_threshold(learner: BatchTopK, x: Tensor) -> None:
    learner.threshold.fill_(1.0)
    learner.b_enc.data.fill_(-1e6)
    step(learner, x)
    assert learner.threshold.item() == 1.0


def test_dead_features_learn_only_from_what_the_others_missed(make, x: Tensor) -> None:
    learner = make(train_config.BatchTopK(k=1))
    acts = dense_acts(learner, x, k=1)
    dead = (~(acts > 0).any(dim=0)).nonzero()[:, 0]
    plain = step(learner, x).loss
    assert not torch.autograd.grad(plain, learner.W_enc)[0][:, dead].any()
    error = (x.double() - acts @ learner.W_dec.double() - learner.b_dec.double()).detach()
    pre = torch.relu((x - learner.centre) @ learner.W_enc[:, dead] + learner.b_enc[dead]).double()
    smallest = pre.topk(8, dim=-1).values[:, -1:]
    missed = error - pre * (pre >= smallest) @ learner.W_dec[dead].double()
    expected = plain.double() + missed.square().sum() / error.square().sum() / 32
    found = step(learner, x, dead).loss
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=0)
    assert torch.autograd.grad(found, learner.W_enc)[0][:, dead].any()


def test_a_projected_gradient_does_not_change_a_decoder_rows_length(learner: BatchTopK, x: Tensor) -> None:
    step(learner, x).loss.backward()
    learner.before_step()
    assert learner.W_dec.grad is not None
    along = (learner.W_dec.grad * learner.W_dec).sum(dim=-1)
    torch.testing.assert_close(along, torch.zeros(D_SAE), atol=1e-6, rtol=0)


@pytest.mark.parametrize("batch", [1, 3])
def test_bfloat16_products_change_the_loss_a_little(make, x: Tensor, batch: int) -> None:
    learner = make(train_config.BatchTopK(k=K))
    exact = step(learner, x[: 16 * batch]).loss
    learner.dtype = torch.bfloat16
    torch.testing.assert_close(step(learner, x[: 16 * batch]).loss, exact, rtol=0.05, atol=0)
