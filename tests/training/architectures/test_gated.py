import torch
from torch import Tensor

from steersman_training.architectures.gated import Gated as Learns
from steersman_training.train_config import Gated

NONE = torch.empty(0, dtype=torch.long)


def test_the_loss_and_its_gradients_are_those_of_the_formula(make, x: Tensor) -> None:
    learner: Learns = make(Gated(l1=0.7, l1_warmup=0.0))
    double = {name: parameter.double() for name, parameter in learner.named_parameters()}
    u = (x - learner.centre).double() @ double["W_enc"]
    gate = torch.relu(u + double["b_enc"])
    magnitude = torch.relu(double["r_mag"].exp() * u + double["b_mag"])
    acts = torch.where(gate > 0, magnitude, 0)
    error = x.double() - acts @ double["W_dec"] - double["b_dec"]
    by_gate = x.double() - gate @ double["W_dec"].detach() - double["b_dec"].detach()
    expected = (error.square().sum() + 0.7 * gate.sum() + by_gate.square().sum()) / len(x)
    outcome = learner(x, progress=1.0, dead=NONE)
    torch.testing.assert_close(outcome.loss, expected.float())
    assert torch.equal(outcome.firings, (acts > 0).sum(dim=0))
    parameters = list(learner.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(outcome.loss, parameters), torch.autograd.grad(expected, parameters), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)
