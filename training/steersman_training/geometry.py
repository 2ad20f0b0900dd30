"""How alike features are: which decoder rows point the same way, and which of those fire together."""

import torch
from torch import Tensor

from steersman_engine.sae import SAE
from steersman_training.metrics import Geometry

ECHO_COSINE = 0.7
ECHO_OVERLAP = 0.5
SHOWN_GROUPS = 20
ROWS = 1024
PAIRS = 4096


class Echoes:
    """Counts, over batches, on how many tokens features that point alike are active together."""

    def __init__(self, sae: SAE) -> None:
        self.nearest, self.pairs = _alike(sae.W_dec.float())
        self.together = torch.zeros(len(self.pairs), dtype=torch.long, device=self.pairs.device)

    def add(self, active: Tensor) -> None:
        """Count a batch: `[tokens, d_sae]` of bool."""
        for start in range(0, len(self.pairs), PAIRS):
            pairs = self.pairs[start : start + PAIRS]
            both = active[:, pairs[:, 0]] & active[:, pairs[:, 1]]
            self.together[start : start + PAIRS] += both.sum(dim=0)

    def geometry(self, num_active: Tensor) -> Geometry:
        """What was found; `num_active` `[d_sae]`: on how many tokens each feature was active."""
        either = num_active[self.pairs].sum(dim=1) - self.together
        echoing = self.pairs[(self.together >= ECHO_OVERLAP * either) & (self.together > 0)]
        groups = _groups(echoing.tolist())
        nearest = self.nearest.double()
        return Geometry(
            max_cosine_mean=nearest.mean().item(),
            max_cosine_median=nearest.median().item(),
            max_cosine_p99=nearest.quantile(0.99).item(),
            max_cosine=nearest.max().item(),
            echo_cosine=ECHO_COSINE,
            echo_overlap=ECHO_OVERLAP,
            num_echo_groups=len(groups),
            num_echoing=sum(map(len, groups)),
            echo_groups=tuple(groups[:SHOWN_GROUPS]),
        )


def _alike(W_dec: Tensor) -> tuple[Tensor, Tensor]:
    """Each row's largest cosine with another `[d_sae]`, and pairs of rows that point alike `[pairs, 2]`."""
    nearest, pairs = [], []
    for start in range(0, len(W_dec), ROWS):
        cosine = W_dec[start : start + ROWS] @ W_dec.T
        own = torch.arange(start, start + len(cosine), device=W_dec.device)
        cosine[torch.arange(len(cosine), device=W_dec.device), own] = -1
        nearest.append(cosine.max(dim=1).values)
        first, second = (cosine >= ECHO_COSINE).nonzero(as_tuple=True)
        found = torch.stack([first + start, second], dim=1)
        pairs.append(found[found[:, 0] < found[:, 1]])
    return torch.cat(nearest), torch.cat(pairs)


def _groups(pairs: list[list[int]]) -> list[tuple[int, ...]]:
    """What is connected by pairs, the largest first."""
    group_of: dict[int, set[int]] = {}
    for first, second in pairs:
        one, other = group_of.get(first, {first}), group_of.get(second, {second})
        one |= other
        for feature in one:
            group_of[feature] = one
    distinct = {id(group): group for group in group_of.values()}.values()
    return sorted((tuple(sorted(group)) for group in distinct), key=lambda group: (-len(group), group))
