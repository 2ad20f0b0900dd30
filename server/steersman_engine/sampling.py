"""Choosing the next token."""

import torch
from torch import Tensor


def sample(logits: Tensor, *, temperature: float, top_p: float, generator: torch.Generator) -> int:
    """A token id from `logits` `[vocab]`.

    `temperature` 0 takes the likeliest token. `top_p` keeps the likeliest tokens whose
    probabilities reach it, and always one (Holtzman et al. 2019, arXiv:1904.09751).
    """
    if temperature == 0:
        return int(logits.argmax())
    probabilities = torch.softmax(logits.float().cpu() / temperature, dim=-1)
    if top_p < 1:
        ordered, index = probabilities.sort(descending=True)
        ordered[ordered.cumsum(-1) - ordered >= top_p] = 0  # mass before a token already reaches it
        return int(index[torch.multinomial(ordered, 1, generator=generator)])
    return int(torch.multinomial(probabilities, 1, generator=generator))
