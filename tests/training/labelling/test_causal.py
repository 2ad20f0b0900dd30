"""What a feature does to the next token."""

import pytest
import torch

from steersman_training.labelling.causal import Shift, coherent_strength


def test_a_shift_adds_up_to_its_kl() -> None:
    before, after = (torch.tensor([p]).log() for p in ([0.5, 0.4, 0.1], [0.2, 0.7, 0.1]))
    shift = Shift.of(before, after)
    assert shift.kl == pytest.approx(float((after.exp() * (after - before)).sum()))
    assert int(shift.gain.argmax()) == 1
    assert int(shift.loss.argmax()) == 0


def test_a_rare_token_does_not_stand_for_an_effect() -> None:
    before, after = (torch.tensor([p]).log() for p in ([0.5, 0.4999, 0.0001], [0.3, 0.6990, 0.0010]))
    assert int(Shift.of(before, after).gain.argmax()) == 1  # though token 2 is ten times as likely


def test_what_moves_in_one_text_alone_is_left_out() -> None:
    before = torch.tensor([[0.5, 0.5]] * 3).log()
    after = torch.tensor([[0.1, 0.9], [0.5, 0.5], [0.5, 0.5]]).log()
    assert float(Shift.of(before, after, alike=True).gain.max()) == pytest.approx(0)
    assert float(Shift.of(before, after).gain.max()) > 0.1


def test_text_is_coherent_up_to_where_its_loss_rises_by_a_nat() -> None:
    assert coherent_strength((0.2, 0.4)) == 2.0
    assert coherent_strength((2.0, 4.0)) == pytest.approx(0.5)
