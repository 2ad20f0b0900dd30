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
