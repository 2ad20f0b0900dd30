"""How much a figure would change with other documents.

A figure is a function of sums over documents. Documents are drawn again, with replacement, as many as
there are; the figure of each such set spreads as it would over other sets (Efron 1979, percentile
intervals). Tokens of one document are alike, so it is documents that are drawn.
"""

from collections.abc import Callable

import torch
from torch import Tensor

DRAWS = 1000
LEVEL = 0.95
SEED = 0


def document_sums(document: Tensor, values: Tensor) -> Tensor:
    """Sums of `values` `[columns, tokens]` over the tokens of each document: `[columns, documents]`."""
    _, number = document.unique(return_inverse=True)
    sums = torch.zeros(len(values), int(number.max()) + 1, dtype=torch.float64, device=values.device)
    return sums.index_add_(1, number, values.double())


def intervals(sums: Tensor, figures: Callable[[Tensor], dict[str, Tensor]]) -> dict[str, tuple[float, float]]:
    """The interval of each figure, which `figures` makes of sums `[columns, draws]` over documents.

    `sums`: of each document, `[columns, documents]`. Without at least two documents there are none.
    """
    count = sums.shape[1]
    if count < 2:
        return {}
    generator = torch.Generator().manual_seed(SEED)
    drawn = torch.randint(count, (DRAWS, count), generator=generator)
    weights = torch.zeros(DRAWS, count, dtype=torch.float64)
    weights.scatter_add_(1, drawn, torch.ones(1, 1, dtype=torch.float64).expand_as(drawn))
    edges = torch.tensor([(1 - LEVEL) / 2, (1 + LEVEL) / 2], dtype=torch.float64)
    found = figures(sums.cpu() @ weights.T)
    return {name: tuple(value.quantile(edges).tolist()) for name, value in found.items()}
