"""Choosing the next token of every stream at once.

A token is drawn by inverting the cumulated probabilities, in the vocabulary's order, at a number that
depends on the request's seed and the token's place in the answer alone. So the same seed gives the
same text whatever shares the batch, but for the rare draw that lands within rounding of a boundary.

Shapes: `rows` streams, `vocab`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

import torch
from torch import Tensor

from steersman_engine.engine import Sampling

SHORTLIST = 256
"""Candidates that top_k and top_p look at first; sorting all is for those that keep more."""


@dataclass(slots=True)
class Sampler:
    """How one stream's tokens are chosen, and what that depends on."""

    sampling: Sampling
    seed: int
    counts: Tensor | None = None
    """How often each token stands in the answer, `[vocab]`; only where a penalty needs it."""
    seen: Tensor | None = None
    """Which tokens stand in prompt or answer, bool `[vocab]`; only where a penalty needs it."""
    num_drawn: int = 0
    _bias: tuple[Tensor, Tensor] | None = field(default=None)

    @classmethod
    def of(
        cls, sampling: Sampling, seed: int, prompt: Sequence[int], vocab: int, device: torch.device
    ) -> "Sampler":
        """A sampler at the beginning of an answer."""
        sampler = cls(sampling, seed)
        if sampling.presence_penalty or sampling.frequency_penalty:
            sampler.counts = torch.zeros(vocab, device=device)
        if sampling.repetition_penalty != 1:
            sampler.seen = torch.zeros(vocab, dtype=torch.bool, device=device)
            sampler.seen[list(prompt)] = True
        if sampling.logit_bias:
            ids, values = zip(*sampling.logit_bias.items(), strict=True)
            sampler._bias = torch.tensor(ids, device=device), torch.tensor(values, device=device)
        return sampler

    def uniform(self) -> float:
        """The number in [0, 1) that decides the next token."""
        digest = blake2b(f"{self.seed} {self.num_drawn}".encode(), digest_size=8).digest()
        return (int.from_bytes(digest) >> 11) / 2**53

    def took(self, token: int) -> None:
        """Go on behind a token."""
        self.num_drawn += 1
        if self.counts is not None:
            self.counts[token] += 1
        if self.seen is not None:
            self.seen[token] = True

    def adjust(self, logits: Tensor, allowed: Tensor | None) -> None:
        """Penalties, bias and mask, in place, on `[vocab]` logits.

        The presence and frequency penalties are OpenAI's: c · frequency + (c > 0) · presence is taken
        off, where c counts the token in the answer. `allowed` may be shorter than the vocabulary.

        Raises:
            ValueError: The mask allows no token, or is longer than the vocabulary.
        """
        if self.seen is not None:
            penalty = self.sampling.repetition_penalty
            punished = torch.where(logits > 0, logits / penalty, logits * penalty)
            logits.copy_(torch.where(self.seen, punished, logits))
        if self.counts is not None:
            logits -= self.sampling.frequency_penalty * self.counts
            logits -= self.sampling.presence_penalty * (self.counts > 0)
        if self._bias is not None:
            logits[self._bias[0]] += self._bias[1]
        if allowed is not None:
            if len(allowed) > len(logits):
                raise ValueError(f"A mask over {len(allowed)} tokens; the vocabulary has {len(logits)}.")
            if not allowed.any():
                raise ValueError("The mask allows no token.")
            logits[: len(allowed)].masked_fill_(~allowed.to(logits.device), float("-inf"))
            logits[len(allowed) :] = float("-inf")


def choose(logits: Tensor, samplers: Sequence[Sampler]) -> Tensor:
    """One token id for each row of adjusted `logits`, float32 `[rows, vocab]`."""
    chosen = logits.argmax(-1)
    drawn = [row for row, sampler in enumerate(samplers) if sampler.sampling.temperature > 0]
    if not drawn:
        return chosen
    rows = [samplers[row] for row in drawn]

    def column(values: list[float]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64, device=logits.device)[:, None]

    temperature = column([row.sampling.temperature for row in rows]).float()
    probabilities = torch.softmax(logits[drawn] / temperature, dim=-1)
    keep_likely(probabilities, [row.sampling for row in rows])
    cumulated = probabilities.cumsum(-1, dtype=torch.float64)
    point = column([row.uniform() for row in rows]) * cumulated[:, -1:]
    chosen[drawn] = torch.searchsorted(cumulated, point, right=True)[:, 0]
    return chosen


def keep_likely(probabilities: Tensor, samplings: Sequence[Sampling]) -> None:
    """Zero, in place, what min_p, top_k and top_p leave out of each row; the likeliest always stays."""
    if any(sampling.min_p for sampling in samplings):
        min_p = probabilities.new_tensor([sampling.min_p for sampling in samplings])[:, None]
        probabilities[probabilities < min_p * probabilities.amax(-1, keepdim=True)] = 0
    cut = [row for row, s in enumerate(samplings) if s.top_p < 1 or s.top_k is not None]
    if cut:
        probabilities[cut] = _cut(probabilities[cut], [samplings[row] for row in cut])


def _cut(probabilities: Tensor, samplings: Sequence[Sampling], shortlist: int = SHORTLIST) -> Tensor:
    vocab = probabilities.shape[-1]
    size = min(vocab, max(shortlist, *(s.top_k or 0 for s in samplings), 1))
    likely, index = probabilities.topk(size, dim=-1)
    ranks = torch.arange(size, device=probabilities.device)
    top_k = torch.tensor([s.top_k or vocab for s in samplings], device=probabilities.device)[:, None]
    top_p = likely.new_tensor([s.top_p for s in samplings], dtype=torch.float64)[:, None]
    likely = torch.where(ranks < top_k, likely, 0)
    of_top_k, of_all = (mass.double().sum(-1, keepdim=True) for mass in (likely, probabilities))
    total = torch.where(top_k < vocab, of_top_k, of_all)
    before = likely.cumsum(-1, dtype=torch.float64) - likely  # mass of the likelier ones
    if size < vocab and ((before[:, -1:] < top_p * total) & (top_k > size)).any():
        return _cut(probabilities, samplings, vocab)  # somebody keeps more than the shortlist
    kept = torch.where((before < top_p * total) | (ranks == 0), likely, 0)
    return torch.zeros_like(probabilities).scatter_(-1, index, kept)
