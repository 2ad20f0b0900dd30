import pytest
import torch
from torch import Tensor

from steersman_training import train_config
from steersman_training.architectures.matryoshka import Matryoshka

FRACTIONS = (0.125, 0.25, 0.625)
NONE = torch.empty(0, dtype=torch.long)


def test_the_loss_and_its_gradients_are_the_mean_over_prefixes(make, x: Tensor) -> None:
    learner: Matryoshka = make(train_config.Matryoshka(k=5, fractions=FRACTIONS))
    pre = torch.relu((x - learner.centre).double() @ learner.W_enc.double() + learner.b_enc.double())
    acts = pre * (pre >= pre.flatten().topk(5 * len(x)).values[-1])
    missed = []
    for end in (12, 36, 96):
        x_hat = acts[:, :end] @ learner.W_dec[:end].double() + learner.b_dec.double()
        missed.append((x.double() - x_hat).square().sum())
    expected = sum(missed) / 3 / (x - x.mean(dim=0)).double().square().sum()
    outcome = learner(x, progress=0.5, dead=NONE)
    torch.testing.assert_close(outcome.loss, expected.float())
    torch.testing.assert_close(outcome.error, missed[-1].float())
    parameters = [learner.W_enc, learner.b_enc, learner.W_dec, learner.b_dec]
    for ours, theirs in zip(
        torch.autograd.grad(outcome.loss, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_groups_must_not_be_empty(make) -> None:
    with pytest.raises(ValueError, match="96 features are too few for 3 groups"):
        make(train_config.Matryoshka(k=5, fractions=(0.001, 0.001, 0.998)))
