"""Matryoshka-BatchTopK (Bussmann et al. 2025, arXiv:2503.17547): its first features must do alone as well."""

from itertools import accumulate

import torch
from torch import Tensor

from steersman_training import train_config
from steersman_training.architectures.topk import BatchTopK
from steersman_training.sparse import Active, Decode
from steersman_training.train_config import TrainConfig


class Matryoshka(BatchTopK):
    """BatchTopK that learns from the reconstructions of growing prefixes of its features."""

    ends: Tensor  # [groups]: after each group's last feature

    def __init__(self, config: TrainConfig, sample: Tensor) -> None:
        super().__init__(config, sample)
        assert isinstance(config.architecture, train_config.Matryoshka)
        ends = [round(share * config.d_sae) for share in accumulate(config.architecture.fractions)]
        if sorted({0, *ends}) != [0, *ends]:
            raise ValueError(f"{config.d_sae} features are too few for {len(ends)} groups: one is empty.")
        self.register_buffer("ends", torch.tensor(ends))

    def errors(self, x: Tensor, values: Tensor, active: Active) -> tuple[Tensor, Tensor]:
        """The mean over prefixes of ‖x − x̂‖², summed over the batch, and the error of all features."""
        groups = len(self.ends)
        group = torch.searchsorted(self.ends, active.feature, right=True)
        parts = Decode.apply(values, self.W_dec, active, active.token * groups + group, len(x) * groups)
        x_hat = parts.view(len(x), groups, -1).cumsum(dim=1) + self.b_dec  # [batch, prefix, d_in]
        error = x[:, None] - x_hat
        return error.square().sum() / groups, error[:, -1].detach()
