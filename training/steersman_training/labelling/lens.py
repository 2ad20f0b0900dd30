"""The logit lens of decoder rows: which tokens a feature writes towards, read straight off the weights.

Shapes: `features` some rows of the decoder, `vocab` tokens, `d_model` the residual stream.
"""

import numpy as np
import torch
from torch import Tensor

from steersman_engine.host import HostModel
from steersman_engine.sae import SAE
from steersman_training.labelling.protocols import Weighted
from steersman_training.labelling.token_text import TokenText


class Lens:
    """Unembeds decoder rows through the final norm's weight, the mean over all features taken off.

    Without that, tokens that every direction favours a little would be everybody's answer.
    """

    def __init__(self, host: HostModel, sae: SAE, text: TokenText) -> None:
        self._W_U = host.W_U.float()
        self._scale = host.model.model.norm.weight.float()
        self._sae, self._text = sae, text
        self._mean = self._unembed(sae.W_dec.float().mean(dim=0))

    @property
    def vocab(self) -> int:
        """Number of tokens."""
        return len(self._W_U)

    @torch.no_grad()
    def logits(self, features: range) -> Tensor:
        """`[features, vocab]`, per unit of the feature where the final norm divides by one."""
        return self._unembed(self._sae.W_dec[features.start : features.stop].float()) - self._mean

    def promoted(
        self, features: range, count: int = 10
    ) -> tuple[list[tuple[tuple[Weighted, ...], ...]], np.ndarray]:
        """Of each feature the `count` tokens it promotes most, and those it suppresses most.

        The ids of the promoted ones, too: `[features, count]`.
        """
        logits = self.logits(features)
        high, low = logits.topk(count), logits.topk(count, largest=False)
        named = [
            tuple(
                tuple(
                    Weighted(self._text[token], value)
                    for token, value in zip(tokens.tolist(), values.tolist(), strict=True)
                )
                for values, tokens in (
                    (high.values[row], high.indices[row]),
                    (low.values[row], low.indices[row]),
                )
            )
            for row in range(len(features))
        ]
        return named, high.indices.cpu().numpy()

    @torch.no_grad()
    def _unembed(self, rows: Tensor) -> Tensor:
        return (rows * self._scale) @ self._W_U.T
