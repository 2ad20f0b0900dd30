"""What is measured of an SAE: reconstruction, the next tokens of a model that reads it, and usage.

Shapes: `d_model` the width of the residual stream, `scored` the positions of a batch that have a
next token. Only positions that are neither padding nor attention sinks are encoded or replaced.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor
from torch.nn.functional import cosine_similarity

from steersman_engine.host import HostModel
from steersman_engine.sae import SAE
from steersman_training.bootstrap import document_sums, intervals
from steersman_training.evaluation_set import Batch, parts
from steersman_training.geometry import Echoes
from steersman_training.metrics import Geometry, NextToken, PartUsage, Reconstruction, Usage

UNEMBED_POSITIONS = 512
"""Positions whose logits are in memory at a time."""
DENSITY_EDGES = tuple(edge / 2 for edge in range(-12, 1))
ALWAYS_ON = 0.1
RARE = 1e-5
Rebuild = Callable[[Tensor], Tensor]
"""From the residual stream to its reconstruction, both `[..., d_model]`."""


def reconstruction(sae: SAE, held: Sequence[Batch]) -> dict[str, Reconstruction]:
    """How well `sae` rebuilds the residual stream, by part."""
    found: list[tuple[Tensor, ...]] = []
    for batch in held:
        x = batch.resid[batch.kept].float()
        feature_acts = sae.encode(x)
        x_hat = sae.decode(feature_acts)
        l0 = (feature_acts > 0).sum(dim=-1).double()
        error = (x - x_hat).square().sum(dim=-1).double()
        cosine = cosine_similarity(x, x_hat, dim=-1).double()
        beside = (column[batch.kept] for column in (batch.role, batch.kind, batch.document))
        found.append((x, l0, error, cosine, *beside))
    x, l0, error, cosine, role, kind, document = (torch.cat(part) for part in zip(*found, strict=True))

    def over(chosen: Tensor) -> Reconstruction:
        part = x[chosen]
        variance = (part - part.mean(dim=0)).square().sum(dim=-1).double()
        columns = torch.stack([torch.ones_like(variance), l0[chosen], error[chosen], variance])
        sums = columns.sum(dim=1)[:, None]
        measured = {name: value.item() for name, value in _rebuilt(sums).items()}
        return Reconstruction(
            tokens=len(part),
            mse=error[chosen].sum().item() / part.numel(),
            cosine=cosine[chosen].mean().item(),
            intervals=intervals(document_sums(document[chosen], columns), _rebuilt),
            **measured,
        )

    return {name: over(mask) for name, mask in parts(role, kind).items()}


def _rebuilt(sums: Tensor) -> dict[str, Tensor]:
    tokens, l0, error, variance = sums
    return {"l0": l0 / tokens, "explained_variance": 1 - error / variance}


def next_token(host: HostModel, held: Sequence[Batch], rebuild: Rebuild) -> dict[str, NextToken]:
    """What the model loses when `rebuild` of the residual stream replaces it, by part."""
    return next_tokens(host, held, [rebuild])[0]


def next_tokens(
    host: HostModel, held: Sequence[Batch], rebuilds: Sequence[Rebuild]
) -> list[dict[str, NextToken]]:
    """`next_token` of each of `rebuilds`, beside the same ablations."""
    sums = [batch.resid[batch.kept].sum(dim=0, dtype=torch.float64) for batch in held]
    mean = torch.stack(sums).sum(dim=0) / sum(int(batch.kept.sum()) for batch in held)
    found: list[Tensor] = []
    for batch in track(held, "Next tokens", console=Console(stderr=True)):
        ablated = (torch.zeros_like(batch.resid), mean)
        variants = (batch.resid, *ablated, *(rebuild(batch.resid.float()) for rebuild in rebuilds))
        finals = [
            host.finish(torch.where(batch.kept[..., None], variant.to(batch.resid.dtype), batch.resid))
            for variant in variants
        ]
        following = batch.token_ids.roll(-1, dims=1)[batch.scored]
        found.append(_losses(host, [final[batch.scored] for final in finals], following))
    losses = torch.cat(found, dim=1).double()
    role, kind, document = (
        torch.cat([column[batch.scored] for batch, column in zip(held, columns, strict=True)])
        for columns in zip(*((batch.role, batch.kind, batch.document) for batch in held), strict=True)
    )
    made = []
    for number in range(len(rebuilds)):
        chosen = losses[[0, 1, 2, 3 + number, 3 + len(rebuilds) + number]]
        made.append(
            {name: _next_token(chosen[:, mask], document[mask]) for name, mask in parts(role, kind).items()}
        )
    return made


def _next_token(losses: Tensor, document: Tensor) -> NextToken:
    """Of tokens' `[5, tokens]` losses: plain, zero, mean, SAE, and KL."""
    columns = torch.cat([torch.ones_like(losses[:1]), losses])
    plain, zero, by_mean, with_sae, _ = losses.mean(dim=1).tolist()
    measured = {name: value.item() for name, value in _lost(columns.sum(dim=1)[:, None]).items()}
    return NextToken(
        tokens=losses.shape[1],
        ce_plain=plain,
        ce_sae=with_sae,
        ce_zero=zero,
        ce_mean=by_mean,
        intervals=intervals(document_sums(document, columns), _lost),
        **measured,
    )


def _lost(sums: Tensor) -> dict[str, Tensor]:
    tokens, plain, zero, by_mean, with_sae, kl = sums
    lost = with_sae - plain
    return {
        "delta_ce": lost / tokens,
        "kl": kl / tokens,
        "fidelity_zero": lost / (zero - plain),
        "fidelity_mean": lost / (by_mean - plain),
    }


def _losses(host: HostModel, finals: list[Tensor], following: Tensor) -> Tensor:
    """Of each scored position: the cross-entropy of each final, then KL(first ‖ it) from the fourth on."""
    found = []
    for start in range(0, len(following), UNEMBED_POSITIONS):
        part = slice(start, start + UNEMBED_POSITIONS)
        plain = host.unembed(finals[0][part]).float().log_softmax(dim=-1)
        ce, kl = [-plain.gather(1, following[part, None])[:, 0]], []
        for number, final in enumerate(finals[1:], start=1):
            log_probs = host.unembed(final[part]).float().log_softmax(dim=-1)
            ce.append(-log_probs.gather(1, following[part, None])[:, 0])
            if number > 2:
                kl.append((plain.exp() * (plain - log_probs)).sum(dim=-1))
        found.append(torch.stack([*ce, *kl]))
    return torch.cat(found, dim=1)


def usage(sae: SAE, stream: Iterable[Batch], splits: tuple[str, ...]) -> Usage:
    """How often each feature is active."""
    return usages([sae], stream, splits)[0][0]


def usages(
    saes: Sequence[SAE], stream: Iterable[Batch], splits: tuple[str, ...]
) -> list[tuple[Usage, Geometry]]:
    """How often each SAE's features are active and how alike they are, from one pass over `stream`."""
    counters = [_Counter(sae) for sae in saes]
    for batch in track(stream, "Densities", total=None, console=Console(stderr=True)):
        for counter in counters:
            counter.add(batch)
    return [(counter.usage(splits), counter.geometry()) for counter in counters]


class _Counter:
    def __init__(self, sae: SAE) -> None:
        self.sae, self.echoes = sae, Echoes(sae)
        self.active: dict[str, Tensor] = {}
        self.tokens: dict[str, int] = {}

    def add(self, batch: Batch) -> None:
        active = self.sae.encode(batch.resid[batch.kept].float()) > 0
        self.echoes.add(active)
        for name, mask in parts(batch.role[batch.kept], batch.kind[batch.kept]).items():
            self.active[name] = self.active.get(name, 0) + active[mask].sum(dim=0)
            self.tokens[name] = self.tokens.get(name, 0) + int(mask.sum())

    def usage(self, splits: tuple[str, ...]) -> Usage:
        made = {name: self._part(name) for name in self.active}
        active = self.active["all"].cpu()
        live = (active[active > 0].double() / self.tokens["all"]).log10()
        counts = torch.histogram(live, torch.tensor(DENSITY_EDGES, dtype=torch.float64)).hist
        whole = made.pop("all")
        return Usage(
            splits=splits,
            tokens=whole.tokens,
            dead=whole.dead,
            num_dead=int((active == 0).sum()),
            rare=whole.rare,
            always_on=whole.always_on,
            log10_density_edges=DENSITY_EDGES,
            log10_density_counts=tuple(int(count) for count in counts),
            parts=made,
        )

    def geometry(self) -> Geometry:
        return self.echoes.geometry(self.active["all"])

    def _part(self, name: str) -> PartUsage:
        active, tokens = self.active[name], self.tokens[name]
        density = active.double() / tokens

        def share(mask: Tensor) -> float:
            return mask.double().mean().item()

        return PartUsage(
            tokens=tokens,
            dead=share(active == 0),
            rare=share((active > 0) & (density < RARE)),
            always_on=share(density > ALWAYS_ON),
        )
