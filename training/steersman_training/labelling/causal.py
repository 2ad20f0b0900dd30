"""What a feature does, by doing it: raised, ablated, and how far it can be turned before text breaks.

Blocks up to the layer run once for a text; only those above run again for each feature and strength.
Edits are the server's: `x̃ = x + (h̃ − h) W_dec`, sinks left alone.

Shapes: `features` some features, `vocab` tokens, `pos` positions, `d_model` the residual stream.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from msgspec import Struct
from torch import Tensor

from steersman_engine.host import HostModel
from steersman_engine.sae import SAE
from steersman_engine.sinks import is_sink
from steersman_training.labelling.lens import Lens
from steersman_training.labelling.protocols import Effects, Weighted
from steersman_training.labelling.token_text import TokenText

NEUTRAL = "From my experience,"
"""What is continued; the prompt of Arad et al. 2025, arXiv:2505.20063."""
LENS_TOKENS = 20
CONFIDENCE_TOKENS = 20
STRENGTHS = (1.0, 2.0)
"""Of h_max, at which ordinary text is read under steering."""
COHERENT_NATS = 1.0
"""Text is coherent while its loss rises by less, a token."""
PLAIN = "Take your time and read it carefully. Then write down what you know."
"""Ordinary text to read under steering."""
MATCHED_KL = 0.5
"""Nats that raising is matched to (Gur-Arieh et al. 2025, arXiv:2501.08319)."""
MOST_RAISED = 2.0
"""Of h_max: a feature is raised no higher in search of that."""
HALVINGS = 6
EFFECT_TOKENS = 10
ROWS = 64
"""Rows in one pass."""


class Output(Struct, frozen=True, kw_only=True):
    """What one feature does to ordinary text."""

    feature: int
    output_score: float
    """(1 − min rank / vocab) · max probability of the lens's tokens, set to h_max at the last position."""
    delta_confidence: float
    """By how much the mean log-probability of the 20 likeliest tokens rises then, in nats."""
    loss_rise: tuple[float, ...]
    """Nats a token that reading PLAIN costs more under each of STRENGTHS."""
    coherent_strength: float
    """Largest strength that costs less than COHERENT_NATS; 2 at most, between two by interpolation."""


class Shift(NamedTuple):
    """How the next token's distribution moves.

    A token counts by its probability, too: of a change of log-probability alone, rare tokens take the top.
    """

    gain: Tensor
    """What each token adds to KL(after ‖ before) `[vocab]`."""
    loss: Tensor
    """What each token adds to KL(before ‖ after) `[vocab]`."""
    kl: float
    """KL(after ‖ before), the mean over texts."""

    @classmethod
    def of(cls, before: Tensor, after: Tensor, *, alike: bool = False) -> "Shift":
        """From log-probabilities `[texts, vocab]`: means, or if `alike` what moves in most texts."""
        gain, loss = after.exp() * (after - before), before.exp() * (before - after)
        kl = float(gain.sum(dim=-1).mean())
        if alike:
            return cls(gain.median(dim=0).values, loss.median(dim=0).values, kl)
        return cls(gain.mean(dim=0), loss.mean(dim=0), kl)


class Causal:
    """Runs the blocks above the layer on edited residual streams."""

    def __init__(self, host: HostModel, sae: SAE, tokenizer, sink_norm: float, text: TokenText) -> None:
        self._host, self._sae, self._sink_norm, self._text = host, sae, sink_norm, text
        self._first = int(tokenizer.bos_token_id if tokenizer.bos_token_id is not None else 0)
        self._lens: Lens | None = None
        self._neutral = self._residual([tokenizer(NEUTRAL, add_special_tokens=False)["input_ids"]])
        self._plain_ids = torch.tensor(tokenizer(PLAIN, add_special_tokens=False)["input_ids"])
        self._plain = self._residual([self._plain_ids.tolist()])

    @torch.no_grad()
    def outputs(self, features: range, h_max: np.ndarray) -> list[Output]:
        """The live ones among `features`; `h_max` `[d_sae]`."""
        live = [feature for feature in features if h_max[feature] > 0]
        if not live:
            return []
        self._lens = self._lens or Lens(self._host, self._sae, self._text)
        lens = self._lens.logits(features)
        before = self._last_log_probs(self._neutral).squeeze(0)
        base = self._loss(self._plain)[0]
        made = []
        for begin in range(0, len(live), ROWS):
            some = live[begin : begin + ROWS]
            top = lens[[feature - features.start for feature in some]].topk(LENS_TOKENS).indices
            strength = torch.tensor([h_max[f] for f in some], dtype=torch.float32)
            steered = self._last_log_probs(self._set(self._neutral, some, strength, last=True))
            rises = torch.stack(
                [
                    self._loss(self._set(self._plain, some, strength * s, last=False)) - base
                    for s in STRENGTHS
                ],
                dim=1,
            )
            rank = (steered[:, None, :] > steered.gather(1, top)[:, :, None]).sum(dim=-1)
            best = steered.gather(1, top).max(dim=1).values.exp()
            score = (1 - rank.min(dim=1).values / steered.shape[1]) * best
            sure = (
                steered.topk(CONFIDENCE_TOKENS).values.mean(dim=1)
                - before.topk(CONFIDENCE_TOKENS).values.mean()
            )
            for row, feature in enumerate(some):
                rise = tuple(rises[row].tolist())
                made.append(
                    Output(
                        feature=feature,
                        output_score=float(score[row]),
                        delta_confidence=float(sure[row]),
                        loss_rise=rise,
                        coherent_strength=coherent_strength(rise),
                    )
                )
        return made

    @torch.no_grad()
    def effects(
        self,
        features: Sequence[int],
        h_max: Sequence[float],
        contexts: Sequence[Sequence[Sequence[int]]],
        others: Tensor,
    ) -> list[Effects | None]:
        """At matched KL: raise each feature where it is silent, ablate it where it fires.

        `contexts`: for each feature token ids of texts that end where it fires. `others`: `silent(...)`.
        None if a feature does not fire at the end of any of its contexts, cut as they are.
        """
        ablated = self._ablated(features, contexts)
        made: list[Effects | None] = []
        for up, gone in zip(self._raised(features, h_max, others), ablated, strict=True):
            if gone is None:
                made.append(None)
                continue
            made.append(
                Effects(
                    raised=self._named(up.gain),
                    lowered=self._named(up.loss),
                    lost=self._named(gone.loss),
                    gained=self._named(gone.gain),
                    kl_raise=up.kl,
                    kl_ablate=gone.kl,
                )
            )
        return made

    def silent(self, texts: Sequence[Sequence[int]]) -> Tensor:
        """Residual streams of texts of one length, `[texts, pos, d_model]`."""
        return self._residual([list(text) for text in texts])

    def _ablated(
        self, features: Sequence[int], contexts: Sequence[Sequence[Sequence[int]]]
    ) -> list[Shift | None]:
        """What changes without each feature, where it fires."""
        by_length: dict[int, list[tuple[int, Sequence[int]]]] = {}
        for row, texts in enumerate(contexts):
            for text in texts:
                by_length.setdefault(len(text), []).append((row, text))
        pairs: list[list[tuple[Tensor, Tensor]]] = [[] for _ in features]
        for texts in by_length.values():
            resid = self._residual([list(text) for _, text in texts])
            own = [features[row] for row, _ in texts]
            last = resid[:, -1].float()
            fires = self._sae.encode(last)[torch.arange(len(own)), own] > 0
            fires &= ~is_sink(last, self._sink_norm)
            plain = self._last_log_probs(resid)
            without = self._last_log_probs(self._set(resid, own, torch.zeros(len(own)), last=True))
            for number, (row, _) in enumerate(texts):
                if fires[number]:
                    pairs[row].append((plain[number], without[number]))
        return [
            Shift.of(*(torch.stack(side) for side in zip(*found, strict=True))) if found else None
            for found in pairs
        ]

    def _raised(self, features: Sequence[int], h_max: Sequence[float], others: Tensor) -> list[Shift]:
        """What changes with each feature where the KL is nearest to MATCHED_KL.

        The strength is found by halving the range in which it must be; one whose KL stays below at
        MOST_RAISED is raised so far.
        """
        plain = self._last_log_probs(others)
        rows = others.repeat(len(features), 1, 1)
        own = [feature for feature in features for _ in range(len(others))]
        largest = torch.tensor(h_max, dtype=torch.float32).repeat_interleave(len(others))
        low, high = torch.zeros(len(features)), torch.full((len(features),), MOST_RAISED)
        strength = high
        best: list[Shift] = []
        for _ in range(1 + HALVINGS):
            target = largest * strength.repeat_interleave(len(others))
            steered = self._last_log_probs(self._set(rows, own, target, last=True))
            steered = steered.view(len(features), len(others), -1)
            tried = [Shift.of(plain, rows_of, alike=True) for rows_of in steered]
            best = [
                min(pair, key=lambda one: abs(one.kl - MATCHED_KL))
                for pair in zip(best or tried, tried, strict=True)
            ]
            below = torch.tensor([one.kl < MATCHED_KL for one in tried])
            low, high = torch.where(below, strength, low), torch.where(below, high, strength)
            strength = (low + high) / 2
        return best

    def _named(self, nats: Tensor) -> tuple[Weighted, ...]:
        top = nats.topk(EFFECT_TOKENS)
        return tuple(
            Weighted(self._text[token], value)
            for token, value in zip(top.indices.tolist(), top.values.tolist(), strict=True)
        )

    def _residual(self, texts: list[list[int]]) -> Tensor:
        """Of texts of one length, headed by the token that all begin with: `[texts, pos, d_model]`."""
        ids = torch.tensor([[self._first, *text] for text in texts], device=self._host.device)
        return self._host.residual(ids)

    def _set(self, resid: Tensor, features: list[int], target: Tensor, *, last: bool) -> Tensor:
        """Each row's feature set to `target` `[features]`, at the last position or at all but sinks."""
        rows = resid.expand(len(features), -1, -1).clone()
        W_dec = self._sae.W_dec[features].float()
        x = rows[:, -1:].float() if last else rows.float()
        enc, bias = self._sae.W_enc[:, features].T.float(), self._sae.b_enc[features]
        pre = torch.einsum("fpd,fd->fp", x, enc) + bias[:, None]
        h = torch.where(pre > self._sae.threshold[features][:, None], pre, 0)
        change = target.to(h.device)[:, None] - h
        change = torch.where(is_sink(x, self._sink_norm), 0, change)
        edited = (x + change[..., None] * W_dec[:, None, :]).to(rows.dtype)
        if last:
            rows[:, -1:] = edited
            return rows
        return edited

    def _last_log_probs(self, resid: Tensor) -> Tensor:
        """`[rows, vocab]` of the next token after each row, in float32."""
        return self._host.unembed(self._host.finish(resid)[:, -1]).float().log_softmax(dim=-1)

    def _loss(self, resid: Tensor) -> Tensor:
        """Mean nats a token of the second half of PLAIN `[rows]`; the first half is context."""
        half = len(self._plain_ids) // 2
        final = self._host.finish(resid)[:, half:-1]
        log_probs = self._host.unembed(final).float().log_softmax(dim=-1)
        wanted = self._plain_ids[half:].to(log_probs.device).expand(len(log_probs), -1)
        return -log_probs.gather(-1, wanted[..., None]).squeeze(-1).mean(dim=-1)


def coherent_strength(rises: Sequence[float]) -> float:
    """Where the loss has risen by COHERENT_NATS, between the strengths that were tried; from 0 at 0."""
    low, before = 0.0, 0.0
    for strength, rise in zip(STRENGTHS, rises, strict=True):
        if rise >= COHERENT_NATS:
            return low + (strength - low) * (COHERENT_NATS - before) / (rise - before)
        low, before = strength, rise
    return STRENGTHS[-1]
