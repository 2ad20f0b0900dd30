"""Attribution against full autograd through the whole model, in float64."""

from typing import Any

import pytest
import torch
from torch import Tensor

from steersman_engine.attribution import attribute
from steersman_engine.edits import AffineEdit
from steersman_engine.engine import AttributionRequest, TokenScores
from steersman_engine.host import HostModel
from steersman_engine.prompt import Kind, Prompt
from steersman_engine.sae import SAE
from steersman_engine.whole_pass import finish

IDS = (1, 40, 50, 60, 70)
ANSWER = (80, 90, 33)
PROMPT = Prompt(IDS, (1,) * 5, (Kind.CONTENT,) * 5)
NO_SINKS = float("inf")


@pytest.fixture
def sae(tiny_sae: SAE) -> SAE:
    return tiny_sae.double()


def by_autograd(
    host: HostModel, sae: SAE, index: int, contrast: int | None, edit: Any = None
) -> tuple[Tensor, Tensor]:
    """∂L/∂f `[pos, d_sae]` and f, with the SAE spliced into the plain model and its error term kept."""
    captured: dict[str, Tensor] = {}

    def hook(block: Any, args: Any, output: Tensor) -> Tensor:
        h = sae.encode(output)
        error = (output - sae.decode(h)).detach()
        h = (edit(h) if edit else h).detach().requires_grad_()
        captured["h"] = h
        return sae.decode(h) + error

    handle = host.model.model.layers[host.layer].register_forward_hook(hook)
    try:
        ids = torch.tensor([IDS + ANSWER])
        logits = host.model(ids).logits[0, len(IDS) + index - 1]
    finally:
        handle.remove()
    against = logits.mean() if contrast is None else logits[contrast]
    (gradient,) = torch.autograd.grad(logits[ANSWER[index]] - against, captured["h"])
    captured["objective"] = logits[ANSWER[index]] - against
    return gradient[0], captured["h"].detach()[0]


def ours(host: HostModel, sae: SAE, **options: Any) -> list[TokenScores]:
    request = AttributionRequest(
        prompt=PROMPT, answer=ANSWER, **{"tokens": (0, 2), "top_k": sae.d_sae, **options}
    )
    with torch.no_grad():
        return finish(attribute(host, sae, NO_SINKS, request, host.W_U.mean(0)))


def dense(scores: TokenScores, sae: SAE) -> Tensor:
    found = torch.zeros(sae.d_sae, dtype=torch.float64)
    for score in scores.features:
        found[score.feature] = score.attribution
    return found


@pytest.mark.parametrize("contrast", [None, 17])
def test_the_gradient_equals_full_autograd(tiny_host: HostModel, sae: SAE, contrast: int | None) -> None:
    for scores in ours(tiny_host, sae, contrast=contrast):
        gradient, _ = by_autograd(tiny_host, sae, scores.index, contrast)
        torch.testing.assert_close(dense(scores, sae), gradient.sum(0), rtol=1e-8, atol=1e-8)


def test_gradient_x_activation_equals_full_autograd(tiny_host: HostModel, sae: SAE) -> None:
    for scores in ours(tiny_host, sae, method="gradient_x_activation"):
        gradient, h = by_autograd(tiny_host, sae, scores.index, None)
        torch.testing.assert_close(dense(scores, sae), (gradient * h).sum(0), rtol=1e-8, atol=1e-8)


def test_attribution_under_an_edit_explains_the_edited_model(tiny_host: HostModel, sae: SAE) -> None:
    def edit(h: Tensor) -> Tensor:
        return torch.cat([h[..., :4], h[..., 4:5] * 0 + 2.0, h[..., 5:]], dim=-1)

    edits = (AffineEdit(4, 0.0, 2.0),)
    for scores in ours(tiny_host, sae, method="gradient_x_activation", edits=edits):
        gradient, h = by_autograd(tiny_host, sae, scores.index, None, edit)
        torch.testing.assert_close(dense(scores, sae), (gradient * h).sum(0), rtol=1e-5, atol=1e-5)


def test_the_objective_is_the_chosen_logit_minus_the_mean(tiny_host: HostModel, sae: SAE) -> None:
    logits = tiny_host.logits(torch.tensor([IDS + ANSWER]))[0]
    for scores in ours(tiny_host, sae):
        row = logits[len(IDS) + scores.index - 1]
        assert scores.objective == pytest.approx(float(row[ANSWER[scores.index]] - row.mean()), rel=1e-9)


def test_the_strongest_features_come_first(tiny_host: HostModel, sae: SAE) -> None:
    all_of_them, few = ours(tiny_host, sae)[0], ours(tiny_host, sae, top_k=5)[0]
    sizes = [abs(score.attribution) for score in all_of_them.features]
    assert sizes == sorted(sizes, reverse=True)
    assert few.features == all_of_them.features[:5]


def test_a_sink_has_no_part_in_attribution(tiny_host: HostModel, sae: SAE) -> None:
    norms = tiny_host.residual(torch.tensor([IDS]))[0].norm(dim=-1)
    sink_norm = float(norms.max()) * 0.999  # exactly the longest position is a sink
    sink = int(norms.argmax())
    request = AttributionRequest(prompt=PROMPT, answer=ANSWER, tokens=(0,), top_k=sae.d_sae)
    with torch.no_grad():
        (scores,) = finish(attribute(tiny_host, sae, sink_norm, request, tiny_host.W_U.mean(0)))
    gradient, _ = by_autograd(tiny_host, sae, 0, None)
    kept = [position for position in range(len(IDS)) if position != sink]
    torch.testing.assert_close(dense(scores, sae), gradient[kept].sum(0), rtol=1e-8, atol=1e-8)


def test_activations_are_the_features_largest(tiny_host: HostModel, sae: SAE) -> None:
    (scores, _) = ours(tiny_host, sae)
    acts = sae.encode(tiny_host.residual(torch.tensor([IDS]))[0]).amax(0)
    for score in scores.features:
        assert score.activation == pytest.approx(float(acts[score.feature]))


def full(host: HostModel, sae: SAE, method: str) -> torch.Tensor:
    """The score of each feature at each position, `[pos, d_sae]`, for the answer's third token."""
    gradient, h = by_autograd(host, sae, 2, None)
    return gradient * h if method == "gradient_x_activation" else gradient


METHODS = pytest.mark.parametrize("method", ["gradient", "gradient_x_activation"])


@METHODS
def test_the_largest_over_positions_equals_full_autograd(tiny_host: HostModel, sae: SAE, method: str) -> None:
    scores = full(tiny_host, sae, method)[: len(IDS) + 2]
    expected = {
        "both": scores.gather(0, scores.abs().argmax(0)[None])[0],
        "positive": scores.amax(0).clamp(min=0),
        "negative": scores.amin(0).clamp(max=0),
    }
    for sign, values in expected.items():
        (found,) = ours(tiny_host, sae, tokens=(2,), method=method, aggregate="max", sign=sign)
        torch.testing.assert_close(dense(found, sae), values, rtol=1e-8, atol=1e-8)


@METHODS
def test_scores_of_positions_equal_full_autograd(tiny_host: HostModel, sae: SAE, method: str) -> None:
    scores = full(tiny_host, sae, method)
    (found,) = ours(tiny_host, sae, tokens=(2,), method=method, aggregate="per_position", top_k=12)
    best = scores.flatten().abs().topk(12).indices
    assert [(one.position, one.feature) for one in found.features] == [
        (int(i) // sae.d_sae, int(i) % sae.d_sae) for i in best
    ]
    acts = sae.encode(tiny_host.residual(torch.tensor([IDS + ANSWER]))[0])
    for one in found.features:
        assert one.position is not None
        assert one.attribution == pytest.approx(float(scores[one.position, one.feature]))
        assert one.activation == pytest.approx(float(acts[one.position, one.feature]))


@METHODS
def test_chosen_positions_alone_take_part(tiny_host: HostModel, sae: SAE, method: str) -> None:
    (found,) = ours(tiny_host, sae, tokens=(2,), method=method, positions=(1, 4))
    expected = full(tiny_host, sae, method)[[1, 4]].sum(0)
    torch.testing.assert_close(dense(found, sae), expected, rtol=1e-8, atol=1e-8)


def test_signs_are_listed_apart(tiny_host: HostModel, sae: SAE) -> None:
    (both,), (up,), (down,) = (
        ours(tiny_host, sae, tokens=(2,), sign=sign) for sign in ("both", "positive", "negative")
    )
    assert all(score.attribution > 0 for score in up.features)
    assert all(score.attribution < 0 for score in down.features)
    assert len(up.features) + len(down.features) == len(both.features)


def test_a_given_token_may_stand_in_for_the_answer_s_even_behind_its_end(
    tiny_host: HostModel, sae: SAE
) -> None:
    (instead,) = ours(tiny_host, sae, tokens=(0,), target=ANSWER[1])
    logits = tiny_host.logits(torch.tensor([IDS + ANSWER]))[0]
    assert instead.objective == pytest.approx(float(logits[4, ANSWER[1]] - logits[4].mean()), rel=1e-9)
    (behind,) = ours(tiny_host, sae, tokens=(3,), target=17, contrast=18)
    assert behind.objective == pytest.approx(float(logits[7, 17] - logits[7, 18]), rel=1e-9)


def test_tokens_explained_together_are_as_each_alone(
    tiny_host: HostModel, sae: SAE, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = ours(tiny_host, sae, tokens=(0, 1, 2))
    monkeypatch.setattr("steersman_engine.attribution.GRADIENT_BYTES", 1)  # groups of one
    alone = ours(tiny_host, sae, tokens=(0, 1, 2))
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(dense(one, sae), dense(other, sae))
