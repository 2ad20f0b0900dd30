"""Fidelity while an SAE learns, on a few held-out chats.

fidelity = (l_SAE − l) / (l_zero − l) of the model's next-token losses `l`, lower is better.
`steersman evaluate` measures the same, and more, on more chats at the end.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from steersman_engine.host import HostModel, fast_dtype, load_model
from steersman_engine.prompt import chat_template_sha256
from steersman_engine.pull import pull
from steersman_training.chats import read_chats
from steersman_training.documents import documents
from steersman_training.evaluation_set import Batch, batches, up_to
from steersman_training.manifest import Manifest
from steersman_training.measures import UNEMBED_POSITIONS, Rebuild
from steersman_training.trainer import Trainer

TOKENS = 8192
BATCH_TOKENS = 4096


class FidelityWatch:
    """Measures trainers' SAEs every so many samples."""

    def __init__(self, host: HostModel, held: Sequence[Batch], every: int) -> None:
        """`every`: samples from one measurement to the next."""
        self._host, self._held, self._every = host, held, every
        self._plain = self._loss(lambda resid: resid)
        self._zero = self._loss(torch.zeros_like)

    @classmethod
    def open(cls, manifest: Manifest, every: int, *, device: str, cache: Path) -> "FidelityWatch":
        """On the first documents of the evaluation split of what was harvested.

        Raises:
            ValueError: The model or its chat template is not the one that was harvested, or no chats are
                held out.
        """
        model, tokenizer = load_model(pull(manifest.model, cache), dtype=fast_dtype(device), device=device)
        host = HostModel(model, manifest.layer, name=manifest.model)
        expected = (manifest.fingerprint, manifest.chat_template_sha256)
        if expected != (host.fingerprint(), chat_template_sha256(tokenizer)):
            raise ValueError(
                f"The harvest is of other weights, or another chat template, than {manifest.model} has now:"
                " leave out --fidelity-every."
            )
        read = documents(
            read_chats(manifest.source, cache),
            "evaluation",
            tokenizer,
            max_length=manifest.max_length,
            seed=manifest.seed,
        )
        chosen = list(up_to(TOKENS, read))
        if not chosen:
            raise ValueError(f"{manifest.source} has no chats in the evaluation split.")
        held = batches(host, chosen, manifest.sink_norm, batch_tokens=BATCH_TOKENS)
        return cls(host, list(held), every)

    def due(self, samples: int, batch_size: int) -> bool:
        """Whether the step that ended at `samples` passed a multiple of `every`."""
        return samples // self._every > (samples - batch_size) // self._every

    def __call__(self, trainer: Trainer) -> float:
        """The fidelity of what the trainer would save now, to zero ablation."""
        sae = trainer.sae.to_sae(trainer.input_scale).to(self._host.device)
        return (self._loss(sae) - self._plain) / (self._zero - self._plain)

    @torch.no_grad()
    def _loss(self, rebuild: Rebuild) -> float:
        """Mean next-token loss in nats when `rebuild` of the residual stream replaces it."""
        total, count = torch.zeros((), dtype=torch.float64, device=self._host.device), 0
        for batch in self._held:
            rebuilt = rebuild(batch.resid.float()).to(batch.resid.dtype)
            final = self._host.finish(torch.where(batch.kept[..., None], rebuilt, batch.resid))
            following = batch.token_ids.roll(-1, dims=1)[batch.scored]
            total += self._summed_loss(final[batch.scored], following)
            count += len(following)
        return total.item() / count

    def _summed_loss(self, final: Tensor, following: Tensor) -> Tensor:
        parts = zip(final.split(UNEMBED_POSITIONS), following.split(UNEMBED_POSITIONS), strict=True)
        losses = [cross_entropy(self._host.unembed(x).float(), ids, reduction="sum") for x, ids in parts]
        return torch.stack(losses).double().sum()
