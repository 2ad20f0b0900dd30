"""An SAE of random directions: what scores are worth where there is nothing to find.

Heap et al. 2025, arXiv:2501.17727: labels of features of random networks score well in common tests, so
the same must be measured beside every result.
"""

import numpy as np
import torch

from steersman_engine.host import HostModel
from steersman_engine.sae import SAE
from steersman_engine.sinks import is_sink
from steersman_training.labelling.corpus import Corpus

SAMPLE_DOCUMENTS = 24


@torch.no_grad()
def random_sae(
    host: HostModel, corpus: Corpus, density: np.ndarray, count: int, *, sink_norm: float, seed: int
) -> SAE:
    """`count` random directions that fire as often as real features do.

    `density` `[d_sae]` is that of the real ones; the random ones take its quantiles. Thresholds are set
    on the first documents of `corpus`.
    """
    sample = []
    for begin, end in zip(
        corpus.starts[:SAMPLE_DOCUMENTS], corpus.starts[1 : SAMPLE_DOCUMENTS + 1], strict=False
    ):
        ids = torch.from_numpy(corpus.token[begin:end].astype(np.int64))[None].to(host.device)
        resid = host.residual(ids)[0].float()
        sample.append(resid[~is_sink(resid, sink_norm)])
    x = torch.cat(sample)
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(count, host.d_model, generator=generator).to(x.device)
    direction /= direction.norm(dim=-1, keepdim=True)
    pre = (x - x.mean(dim=0)) @ direction.T
    wanted = np.quantile(density[density > 0], (np.arange(count) + 0.5) / count)
    ranks = np.clip((wanted * len(x)).astype(int), 1, len(x) - 1)
    sorted_ = pre.sort(dim=0, descending=True).values
    threshold = sorted_[torch.from_numpy(ranks).to(x.device), torch.arange(count, device=x.device)].clamp_min(
        1e-3
    )
    return SAE.canonical(
        W_enc=direction.T,
        b_enc=-(x.mean(dim=0) @ direction.T),
        W_dec=direction,
        b_dec=torch.zeros(host.d_model, device=x.device),
        threshold=threshold,
    )
