"""What an SAE is evaluated on: documents that are held out from training, and their residual streams.

Shapes: `batch` documents, `pos` positions, `d_model` the width of the residual stream.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from steersman_engine.host import HostModel
from steersman_engine.prompt import ROLES, Kind
from steersman_engine.sinks import is_sink
from steersman_training.documents import Document, padded
from steersman_training.sources.chat import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationConfig:
    """What to evaluate on: the first documents of the split in the order of the seed."""

    source: str
    split: Split = "evaluation"
    tokens: int = 50_000
    """About so many for reconstruction and next-token metrics."""
    usage_tokens: int = 450_000
    """About so many for densities: the evaluation split, then as much of the labelling split as it takes."""
    max_length: int = 512
    seed: int = 0
    batch_tokens: int = 4096


@dataclass(frozen=True, slots=True)
class Batch:
    """Documents and their residual stream at the layer."""

    token_ids: Tensor  # [batch, pos]
    resid: Tensor  # [batch, pos, d_model]
    role: Tensor  # [batch, pos], index into ROLES
    real: Tensor  # [batch, pos], not padding
    kept: Tensor  # [batch, pos]
    kind: Tensor  # [batch, pos], a Kind
    document: Tensor  # [batch, pos], its number in the set

    @property
    def scored(self) -> Tensor:
        """`[batch, pos]`: which positions have a next token."""
        following = torch.zeros_like(self.real)
        following[:, :-1] = self.real[:, 1:]
        return following


def up_to(tokens: int, stream: Iterable[Document]) -> Iterator[Document]:
    """Whole documents until `tokens` are reached."""
    for document in stream:
        if tokens <= 0:
            return
        tokens -= len(document.prompt)
        yield document


def batches(
    host: HostModel, chosen: list[Document], sink_norm: float, *, batch_tokens: int
) -> Iterator[Batch]:
    """The documents' residual streams, longest documents first."""
    for rows, token_ids in padded(chosen, batch_tokens=batch_tokens):
        role, kind = torch.zeros_like(token_ids), torch.zeros_like(token_ids)
        real = torch.zeros_like(token_ids, dtype=torch.bool)
        for row, document in enumerate(rows):
            role[row, : len(document.prompt)] = torch.tensor(document.prompt.roles)
            kind[row, : len(document.prompt)] = torch.tensor(document.prompt.kinds)
            real[row, : len(document.prompt)] = True
        numbers = torch.tensor([document.index for document in rows])[:, None].expand_as(token_ids)
        columns = (token_ids, role, real, kind, numbers)
        token_ids, role, real, kind, numbers = (column.to(host.device) for column in columns)
        resid = host.residual(token_ids)
        kept = real & ~is_sink(resid, sink_norm)
        yield Batch(token_ids, resid, role, real, kept, kind, numbers)


def parts(role: Tensor, kind: Tensor) -> dict[str, Tensor]:
    """Which of some positions are in each part that occurs: all, a role's, content or special."""
    masks = {"all": torch.ones_like(role, dtype=torch.bool)}
    masks |= {name: role == index for index, name in enumerate(ROLES)}
    masks |= {"content": kind == Kind.CONTENT, "special": kind != Kind.CONTENT}
    return {name: mask for name, mask in masks.items() if mask.any()}
