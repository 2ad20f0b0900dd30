"""What must hold before a server answers: the bundle fits this model, and an edit steers.

An SAE put one layer off still reconstructs something, and steers badly without a word; that is the
field's classic mistake, so it is measured rather than trusted.
"""

import asyncio
from dataclasses import replace

import torch
from torch import Tensor

from steersman_engine.bundle import BundleError, BundleManifest
from steersman_engine.edits import AffineEdit
from steersman_engine.engine import Engine, EngineError, GenerateRequest, Sampling, TokenLogprobs
from steersman_engine.host import HostModel
from steersman_engine.prompt import Kind, Prompt
from steersman_engine.sae import SAE
from steersman_engine.sinks import is_sink

TEXT = (
    "The capital of France is Paris. To bake bread, mix flour, water, salt and yeast, let the dough"
    " rise, and put it into a hot oven. def add(a, b): return a + b. She said that she would come"
    " tomorrow, but it rained all day and the trains did not run."
)


LOGPROB_TOLERANCE = 0.1
"""How far half precision may move a log probability, in nats; what is wrong moves it by far more."""


def check_fit(host: HostModel, tokenizer, sae: SAE, manifest: BundleManifest, template_sha256: str) -> None:
    """Refuse a bundle that was made for other weights, another chat template or another layer.

    Raises:
        BundleError: It was; the message says which.
    """
    if sae.d_in != host.d_model:
        raise BundleError(
            f"The bundle {manifest.name} is for a model of width {sae.d_in}; {host.name} has {host.d_model}."
        )
    check_layer(host, sae, text_ids(tokenizer), manifest.sink_norm)
    if (found := host.fingerprint()) != manifest.model_fingerprint:
        raise BundleError(
            f"The bundle {manifest.name} was made on other weights (fingerprint"
            f" {manifest.model_fingerprint[:12]}) than {host.name} has ({found[:12]})."
        )
    if template_sha256 != manifest.chat_template_sha256:
        raise BundleError(f"{manifest.name} was made with another chat template than {host.name} has.")


def check_layer(host: HostModel, sae: SAE, input_ids: Tensor, sink_norm: float) -> None:
    """Refuse an SAE that reconstructs a neighbouring layer better than its own.

    `input_ids` `[1, pos]`.

    Raises:
        BundleError: It does.
    """
    layers = [layer for layer in range(host.layer - 1, host.layer + 2) if 0 <= layer < host.num_layers]
    unexplained = {
        layer: _unexplained(host.residual(input_ids, layer=layer)[0], sae, sink_norm) for layer in layers
    }
    best = min(unexplained, key=lambda layer: unexplained[layer])
    if best != host.layer:
        found = ", ".join(f"{layer}: {share:.3f}" for layer, share in unexplained.items())
        raise BundleError(
            f"The SAE is set after layer {host.layer} but reconstructs layer {best} better (share of variance"
            f" left unexplained after layer {found}). It belongs to another layer or model."
        )


def check_engine(engine: Engine, host: HostModel, input_ids: Tensor, sink_norm: float) -> None:
    """See that the engine computes the plain model, that an edit steers, and that it steers alone.

    It also warms the engine up: the first request of a client finds everything made. Call it outside of
    an event loop.

    Raises:
        EngineError: It does not; the message says what is wrong.
    """
    length = input_ids.shape[1]
    prompt = Prompt(tuple(input_ids[0].tolist()), (1,) * length, (Kind.CONTENT,) * length)
    plain = GenerateRequest(prompt=prompt, max_tokens=2, sampling=Sampling(temperature=0), logprobs=1)
    norms = host.residual(input_ids)[0].float().norm(dim=-1)
    strong = AffineEdit(0, mul=0.0, add=float(norms[norms <= sink_norm].median()))
    expected = host.logits(input_ids, last=1)[0, -1].float().log_softmax(-1)
    alone, mate, steered, after = asyncio.run(_ask(engine, plain, replace(plain, edits=(strong,))))
    for what, found in (("", alone), (" beside a steered one", mate), (" after a steered one", after)):
        if abs(found.logprob - float(expected[found.token_id])) > LOGPROB_TOLERANCE:
            raise EngineError(
                f"A plain request{what} is not answered as the model does: token {found.token_id} has log"
                f" probability {found.logprob:.3f} instead of {float(expected[found.token_id]):.3f}."
            )
    if abs(steered.logprob - float(expected[steered.token_id])) <= LOGPROB_TOLERANCE:
        raise EngineError("An edit as long as a token's residual does not change the logits.")


async def _ask(engine: Engine, plain: GenerateRequest, steered: GenerateRequest) -> list[TokenLogprobs]:
    """The first token of the plain request, of both together, and of the plain one again."""

    async def first(request: GenerateRequest) -> TokenLogprobs:
        events = [event async for event in engine.generate(request)]
        assert events[0].logprobs is not None
        return events[0].logprobs

    alone = await first(plain)
    return [alone, *await asyncio.gather(first(plain), first(steered)), await first(plain)]


def text_ids(tokenizer) -> Tensor:
    """The fixed text of these tests, `[1, pos]`, behind the token that begins a sequence."""
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    return torch.tensor([[tokenizer.bos_token_id, *ids]])


def _unexplained(resid: Tensor, sae: SAE, sink_norm: float) -> float:
    x = resid[~is_sink(resid, sink_norm)].to(sae.W_enc.dtype)
    return float((x - sae(x)).pow(2).sum() / (x - x.mean(0)).pow(2).sum())
