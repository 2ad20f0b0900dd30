"""Edits against the formula written out with a plain transformers hook, in float64."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from steersman import FeatureEdit
from steersman_engine.edits import AffineEdit, EditRows, apply_edits
from steersman_engine.host import HostModel
from steersman_engine.prompt import Kind, Prompt, render
from steersman_engine.sae import SAE
from steersman_engine.steering import Steering

NO_SINKS = float("inf")


def prompt_of(ids: list[int], roles: list[int] | None = None) -> Prompt:
    return Prompt(tuple(ids), tuple(roles or [1] * len(ids)), (Kind.CONTENT,) * len(ids))


def steered_by_hook(
    host: HostModel, sae: SAE, ids: Tensor, targets: dict[int, Any], where: list[int]
) -> Tensor:
    """Logits with `h̃_f = targets[f](h_f)` at positions `where`, the error term kept: the whole formula."""
    sae = sae.double()

    def hook(block: Any, args: Any, output: Tensor) -> Tensor:
        h = sae.encode(output)
        error = output - sae.decode(h)
        edited = h.clone()
        for feature, target in targets.items():
            edited[:, where, feature] = target(h[:, where, feature])
        return sae.decode(edited) + error

    handle = host.model.model.layers[host.layer].register_forward_hook(hook)
    try:
        with torch.no_grad():
            return host.model(ids).logits
    finally:
        handle.remove()
        sae.float()


def steered_by_us(
    host: HostModel, sae: SAE, ids: Tensor, edits: list[AffineEdit], sink_norm: float
) -> Tensor:
    steering = Steering.of(tuple(edits), prompt_of(ids[0].tolist()), sae, sink_norm)
    assert steering is not None
    return host.logits(ids, edit=lambda x: steering.apply(x[0])[0][None])


IDS = torch.tensor([[1, 40, 50, 60, 70, 80, 90]])


@pytest.mark.parametrize(
    ("mul", "add"), [(0.0, 5.0), (1.0, -3.0), (0.0, 0.0), (2.5, 0.0)], ids=["set", "add", "ablate", "scale"]
)
def test_an_edit_equals_the_formula_with_a_plain_hook(
    tiny_host: HostModel, tiny_sae: SAE, mul: float, add: float
) -> None:
    expected = steered_by_hook(tiny_host, tiny_sae, IDS, {4: lambda h: mul * h + add}, list(range(7)))
    found = steered_by_us(tiny_host, tiny_sae, IDS, [AffineEdit(4, mul, add)], NO_SINKS)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)  # rows are float32


def test_several_edits_compose_in_the_order_given(tiny_host: HostModel, tiny_sae: SAE) -> None:
    targets = {4: lambda h: 0.5 * (h + 2) * 1.0, 9: lambda h: h * 0 + 3}
    edits = [AffineEdit(4, 1, 2), AffineEdit(9, 1, 7), AffineEdit(4, 0.5, 0), AffineEdit(9, 0, 3)]
    expected = steered_by_hook(tiny_host, tiny_sae, IDS, targets, list(range(7)))
    found = steered_by_us(tiny_host, tiny_sae, IDS, edits, NO_SINKS)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_setting_a_feature_to_its_own_value_changes_nothing(tiny_host: HostModel, tiny_sae: SAE) -> None:
    resid = tiny_host.residual(IDS)[0, 3]
    rows = EditRows.gather(tiny_sae, [4])
    own = rows.encode(resid)
    steered = apply_edits(resid, rows, own, torch.zeros(1), own)
    assert torch.equal(steered, resid)


def test_no_edits_are_the_plain_model_to_the_bit(tiny_host: HostModel, tiny_sae: SAE) -> None:
    plain = tiny_host.model(IDS).logits
    assert torch.equal(tiny_host.logits(IDS), plain)
    assert Steering.of((), prompt_of(IDS[0].tolist()), tiny_sae, NO_SINKS) is None


def test_an_edit_out_of_its_phase_is_the_plain_model_to_the_bit(tiny_host: HostModel, tiny_sae: SAE) -> None:
    later = AffineEdit(4, 0, 50.0, in_prompt=False)
    assert torch.equal(steered_by_us(tiny_host, tiny_sae, IDS, [later], NO_SINKS), tiny_host.logits(IDS))


def test_an_attention_sink_is_never_edited(tiny_host: HostModel, tiny_sae: SAE) -> None:
    resid = tiny_host.residual(IDS)[0].clone()
    resid[0] *= 1000  # as long as a real first token's
    steering = Steering.of((AffineEdit(4, 0, 50.0),), prompt_of(IDS[0].tolist()), tiny_sae, sink_norm=1000.0)
    assert steering is not None
    steered, observed = steering.apply(resid)
    assert torch.equal(steered[0], resid[0])
    assert (steered[1:] != resid[1:]).any(dim=-1).all()
    assert observed.reports[0].tokens_edited == 6


def test_roles_and_phases_choose_tokens() -> None:
    prompt = prompt_of([5, 6, 7, 8], roles=[0, 1, 2, 1])
    user = AffineEdit(0, 0, 1, in_generation=False, roles=(1,))
    answer = AffineEdit(0, 0, 1, in_prompt=False)
    both = AffineEdit(0, 0, 1, roles=(0,))
    assert user.covers(prompt, 0, 6) == [False, True, False, True, False, False]
    assert answer.covers(prompt, 2, 6) == [False, False, True, True]
    assert both.covers(prompt, 0, 6) == [True, False, False, False, True, True]


def test_a_receipt_says_what_was_done(tiny_host: HostModel, tiny_sae: SAE) -> None:
    steering = Steering.of((AffineEdit(4, 0, 50.0),), prompt_of(IDS[0].tolist()), tiny_sae, NO_SINKS)
    assert steering is not None
    resid = tiny_host.residual(IDS)[0]
    (report,) = steering.apply(resid)[1].reports
    expected = tiny_sae.encode(resid)[:, 4].mean().item()
    assert report.tokens_edited == 7
    assert report.mean_activation_before == pytest.approx(expected, rel=1e-5)


H_MAX = 8.0


@pytest.mark.parametrize(
    ("edit", "mul", "add"),
    [
        (FeatureEdit(3, 0.5), 0.0, 4.0),
        (FeatureEdit(3, -1.0), 0.0, -8.0),
        (FeatureEdit(3, 0.0), 0.0, 0.0),
        (FeatureEdit(3, 0.5, mode="add"), 1.0, 4.0),
        (FeatureEdit(3, 0.5, mode="scale"), 0.5, 0.0),
        (FeatureEdit(3, 2.5, unit="raw"), 0.0, 2.5),
    ],
)
def test_modes_and_units_become_affine_maps(edit: FeatureEdit, mul: float, add: float) -> None:
    made = AffineEdit.of(edit, H_MAX)
    assert (made.mul, made.add) == (mul, add)


@pytest.mark.parametrize(
    ("edit", "h_max", "message"),
    [
        (FeatureEdit(3, 0.0, mode="add"), H_MAX, "changes nothing"),
        (FeatureEdit(3, 1.0, mode="scale"), H_MAX, "changes nothing"),
        (FeatureEdit(3, -0.5, mode="scale"), H_MAX, "negative"),
        (FeatureEdit(3, 0.5, mode="scale", unit="raw"), H_MAX, "plain factor"),
        (FeatureEdit(3, 0.5), 0.0, "never fired"),
        (FeatureEdit(3, 0.5, phase="generation", roles=("user",)), H_MAX, "`roles`"),
    ],
)
def test_an_edit_that_would_do_nothing_or_contradicts_itself_is_refused(
    edit: FeatureEdit, h_max: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        AffineEdit.of(edit, h_max)


affine = st.builds(
    AffineEdit,
    feature=st.integers(0, 3),
    mul=st.sampled_from([0.0, 0.5, 1.0, 2.0]),
    add=st.sampled_from([-3.0, 0.0, 1.0]),
    in_prompt=st.booleans(),
    in_generation=st.booleans(),
)


@settings(max_examples=50, deadline=None)
@given(st.lists(affine, min_size=1, max_size=6), st.integers(1, 6))
def test_composed_maps_equal_edits_one_after_another(edits: list[AffineEdit], prompt_length: int) -> None:
    prompt = prompt_of([7] * prompt_length)
    eye = torch.eye(4)
    sae = SAE(W_enc=eye, b_enc=torch.zeros(4), W_dec=eye, b_dec=torch.zeros(4), threshold=torch.zeros(4))
    steering = Steering.of(tuple(edits), prompt, sae, NO_SINKS)
    assert steering is not None
    start = torch.arange(1.0, 9.0)
    steered, _ = steering.apply(start[:, None].expand(8, 4).clone())
    for feature in range(4):
        h = start.clone()
        for edit in edits:
            if edit.feature == feature:
                here = torch.tensor(edit.covers(prompt, 0, 8))
                h = torch.where(here, edit.mul * h + edit.add, h)
        torch.testing.assert_close(steered[:, feature], h)


def test_every_token_of_a_chat_has_its_message_s_role(tiny_tokenizer) -> None:
    messages = [
        {"role": "system", "content": "Be terse."},
        {"role": "user", "content": " Hi "},
        {"role": "assistant", "content": "Hi"},
    ]
    prompt = render(tiny_tokenizer, messages, generate=True)
    said: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for token_id, role, kind in zip(prompt.token_ids, prompt.roles, prompt.kinds, strict=True):
        if kind is Kind.CONTENT:
            said[role].append(token_id)
    assert [tiny_tokenizer.decode(ids) for ids in said.values()] == ["Be terse.", " Hi ", "Hi"]
    assert prompt.kinds[0] is Kind.BOS
    assert tiny_tokenizer.decode(list(prompt.token_ids)).endswith("<|im_start|>assistant\n")


def test_a_system_message_that_the_template_adds_is_no_user_s(tiny_tokenizer) -> None:
    adding = "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    tiny_tokenizer.chat_template = adding + tiny_tokenizer.chat_template
    try:
        prompt = render(tiny_tokenizer, [{"role": "user", "content": "Hi"}], generate=True)
    finally:
        tiny_tokenizer.chat_template = tiny_tokenizer.chat_template.removeprefix(adding)
    system = [t for t, role in zip(prompt.token_ids, prompt.roles, strict=True) if role == 0]
    assert tiny_tokenizer.decode(system) == "<|im_start|>system\nBe kind.<|im_end|>"
