import pytest
import torch

from steersman_training.architectures.penalty import Penalty


def test_the_weight_rises_over_its_warm_up_and_stays() -> None:
    penalty = Penalty(5.0, 0.05, None)
    assert [penalty.at(share).item() for share in (0.01, 0.05, 1.0)] == pytest.approx([1.0, 5.0, 5.0])


@pytest.mark.parametrize("start", [0.1, 1.0, 10.0])
def test_l0_comes_to_its_target_whatever_the_penalty_s_units(start: float) -> None:
    penalty = Penalty(start, 0.05, 50.0)
    l0 = 500.0
    for step in range(2000):
        weight = penalty.at((step + 1) / 2000).item()
        l0 += (60 * weight**-0.8 - l0) / 100  # a model of an SAE: it answers slowly
        penalty.observe(torch.tensor(l0), (step + 1) / 2000)
    assert l0 == pytest.approx(50, rel=0.05)


def test_its_state_is_all_that_it_goes_on_from() -> None:
    penalty, other = (Penalty(5.0, 0.05, 50.0) for _ in range(2))
    for step in range(100):
        penalty.observe(torch.tensor(80.0), step / 100)
    other.load_state_dict(penalty.state_dict())
    assert torch.equal(penalty.at(1.0), other.at(1.0))
