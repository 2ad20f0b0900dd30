"""Evaluation of an SAE, in the form that is served, on held-out chats.

Shapes: `d_model` the width of the residual stream, `scored` the positions of a batch that have a
next token. Only positions that are neither padding nor attention sinks are encoded or replaced.
"""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TypeVar

import msgspec
import torch
from rich import print
from rich.progress import track
from torch import Tensor
from torch.nn.functional import cosine_similarity

from steersman_engine.bundle import sha256_of
from steersman_engine.host import HostModel
from steersman_engine.prompt import ROLES, chat_template_sha256
from steersman_engine.sae import SAE
from steersman_engine.sinks import sink_norm_of
from steersman_training.chats import Chat, Split, read_chats
from steersman_training.evaluation_set import Batch, EvaluationConfig, batches, up_to
from steersman_training.harvest import Document, documents
from steersman_training.metrics import Metrics, NextToken, Reconstruction, Usage, table
from steersman_training.shards import write_atomically
from steersman_training.train import FACTS, TrainFacts

UNEMBED_POSITIONS = 512
"""Positions whose logits are in memory at a time."""
Measured = TypeVar("Measured")
DENSITY_EDGES = tuple(edge / 2 for edge in range(-12, 1))
ALWAYS_ON = 0.1


@torch.no_grad()
def evaluate(
    host: HostModel,
    tokenizer,
    chats: list[Chat],
    sae: SAE,
    config: EvaluationConfig,
    *,
    sae_sha256: str,
    sink_norm: float | None = None,
) -> Metrics:
    """Measure `sae` on `host`. `sink_norm`: by default measured on the first document.

    Raises:
        ValueError: The SAE does not fit the model, or the source has no chats in the split.
    """
    if sae.d_in != host.d_model:
        raise ValueError(f"The SAE reads {sae.d_in} dimensions; {host.name} has {host.d_model}.")

    def read(split: Split) -> Iterator[Document]:
        return documents(chats, split, tokenizer, max_length=config.max_length, seed=config.seed)

    chosen = list(up_to(config.tokens, read(config.split)))
    if not chosen:
        raise ValueError(f"{config.source} has no chats in the {config.split} split.")
    if sink_norm is None:
        first = torch.tensor([chosen[0].prompt.token_ids], device=host.device)
        sink_norm = sink_norm_of(host.residual(first).float().norm(dim=-1))

    def run(read: list[Document]) -> Iterator[Batch]:
        return batches(host, read, sink_norm, batch_tokens=config.batch_tokens)

    splits: tuple[Split, ...] = ("evaluation", "labelling")
    many = up_to(config.usage_tokens, chain.from_iterable(map(read, splits)))
    held = list(run(chosen))
    return Metrics(
        model=host.name,
        fingerprint=host.fingerprint(),
        chat_template_sha256=chat_template_sha256(tokenizer),
        layer=host.layer,
        dtype=str(host.model.dtype).removeprefix("torch."),
        sae_sha256=sae_sha256,
        d_sae=sae.d_sae,
        sink_norm=sink_norm,
        source=config.source,
        split=config.split,
        seed=config.seed,
        max_length=config.max_length,
        num_documents=len(chosen),
        reconstruction=reconstruction(sae, held),
        next_token=next_token(host, held, sae),
        usage=usage(sae, run(list(many)), splits),
    )


def evaluate_file(
    host: HostModel, tokenizer, path: Path, config: EvaluationConfig, out: Path, *, cache: Path
) -> Metrics:
    """Measure the SAE in a file, write the metrics to `out` as JSON, and print them.

    Raises:
        ValueError: The `train.json` beside the file names another model, chat template or layer.
    """
    sink_norm = None
    if (path.parent / FACTS).is_file():
        trained_on = msgspec.json.decode((path.parent / FACTS).read_bytes(), type=TrainFacts).harvest
        expected = (trained_on.fingerprint, trained_on.chat_template_sha256, trained_on.layer)
        if expected != (host.fingerprint(), chat_template_sha256(tokenizer), host.layer):
            raise ValueError(
                f"{path} was trained on layer {trained_on.layer} of {trained_on.model}, and this is"
                f" layer {host.layer} of {host.name}, with other weights or another chat template."
            )
        sink_norm = trained_on.sink_norm
    metrics = evaluate(
        host,
        tokenizer,
        read_chats(config.source, cache),
        SAE.load(path, host.device),
        config,
        sae_sha256=sha256_of(path),
        sink_norm=sink_norm,
    )
    write_atomically(out, msgspec.json.format(msgspec.json.encode(metrics), indent=1))
    print(table(metrics))
    return metrics


def reconstruction(sae: SAE, held: list[Batch]) -> dict[str, Reconstruction]:
    """How well `sae` rebuilds the residual stream, by role."""
    found: list[tuple[Tensor, ...]] = []
    for batch in held:
        x = batch.resid[batch.kept].float()
        feature_acts = sae.encode(x)
        x_hat = sae.decode(feature_acts)
        l0 = (feature_acts > 0).sum(dim=-1)
        error = (x - x_hat).square().sum(dim=-1)
        found.append((x, l0, error, cosine_similarity(x, x_hat, dim=-1), batch.role[batch.kept]))
    x, l0, error, cosine, role = (torch.cat(part) for part in zip(*found, strict=True))

    def over(chosen: Tensor) -> Reconstruction:
        part = x[chosen]
        variance = (part - part.mean(dim=0)).square().sum(dtype=torch.float64).item()
        missed = error[chosen].sum(dtype=torch.float64).item()
        return Reconstruction(
            tokens=len(part),
            l0=l0[chosen].double().mean().item(),
            explained_variance=1 - missed / variance,
            mse=missed / part.numel(),
            cosine=cosine[chosen].double().mean().item(),
        )

    return by_role(role, over)


def next_token(
    host: HostModel, held: list[Batch], rebuild: Callable[[Tensor], Tensor]
) -> dict[str, NextToken]:
    """What the model loses when `rebuild` of the residual stream, `[..., d_model]`, replaces it."""
    sums = [batch.resid[batch.kept].sum(dim=0, dtype=torch.float64) for batch in held]
    mean = torch.stack(sums).sum(dim=0) / sum(int(batch.kept.sum()) for batch in held)
    found: list[Tensor] = []
    for batch in track(held, "Next tokens"):
        variants = (batch.resid, rebuild(batch.resid.float()), torch.zeros_like(batch.resid), mean)
        finals = [
            host.finish(torch.where(batch.kept[..., None], variant.to(batch.resid.dtype), batch.resid))
            for variant in variants
        ]
        found.append(_losses(host, [final[batch.scored] for final in finals], _following(batch)))
    losses = torch.cat(found, dim=1).double()
    role = torch.cat([batch.role[batch.scored] for batch in held])

    def over(chosen: Tensor) -> NextToken:
        plain, with_sae, zero, by_mean, kl = losses[:, chosen].mean(dim=1).tolist()
        return NextToken(
            tokens=int(chosen.sum()),
            ce_plain=plain,
            ce_sae=with_sae,
            ce_zero=zero,
            ce_mean=by_mean,
            delta_ce=with_sae - plain,
            kl=kl,
            fidelity_zero=(with_sae - plain) / (zero - plain),
            fidelity_mean=(with_sae - plain) / (by_mean - plain),
        )

    return by_role(role, over)


def usage(sae: SAE, stream: Iterable[Batch], splits: tuple[str, ...]) -> Usage:
    """How often each feature is active."""
    active = torch.zeros_like(sae.b_enc, dtype=torch.long)
    tokens = 0
    for batch in track(stream, "Densities", total=None):
        x = batch.resid[batch.kept]
        active += (sae.encode(x) > 0).sum(dim=0)
        tokens += len(x)
    density = active.double() / tokens
    live = density[active > 0].log10().cpu()
    edges = torch.tensor(DENSITY_EDGES, dtype=torch.float64)
    counts = torch.histogram(live, edges).hist
    return Usage(
        splits=splits,
        tokens=tokens,
        dead=(active == 0).double().mean().item(),
        num_dead=int((active == 0).sum()),
        always_on=(density > ALWAYS_ON).double().mean().item(),
        log10_density_edges=DENSITY_EDGES,
        log10_density_counts=tuple(int(count) for count in counts),
    )


def by_role(role: Tensor, over: Callable[[Tensor], Measured]) -> dict[str, Measured]:
    """`over` of a mask of all positions, and of each role's that occurs."""
    masks = {"all": torch.ones_like(role, dtype=torch.bool)}
    masks |= {name: role == index for index, name in enumerate(ROLES)}
    return {name: over(mask) for name, mask in masks.items() if mask.any()}


def _following(batch: Batch) -> Tensor:
    """The next token of each scored position."""
    return batch.token_ids.roll(-1, dims=1)[batch.scored]


def _losses(host: HostModel, finals: list[Tensor], following: Tensor) -> Tensor:
    """Of each scored position `[5, scored]`: the cross-entropies of four finals, and KL(first ‖ second)."""
    found = []
    for start in range(0, len(following), UNEMBED_POSITIONS):
        part = slice(start, start + UNEMBED_POSITIONS)
        log_probs = [host.unembed(final[part]).float().log_softmax(dim=-1) for final in finals]
        ce = [-each.gather(1, following[part, None])[:, 0] for each in log_probs]
        kl = (log_probs[0].exp() * (log_probs[0] - log_probs[1])).sum(dim=-1)
        found.append(torch.stack([*ce, kl]))
    return torch.cat(found, dim=1)
