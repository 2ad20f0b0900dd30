"""One step: the next tokens of every stream, in one pass through the model.

`compute` changes nothing but the key-value cache, and there only at positions that do not count yet:
when it raises, it may be called again with some of the same work.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from steersman_engine.engine import ActiveFeature, TokenFeatures, TokenLogprob, TokenLogprobs
from steersman_engine.forward import Batch, Forward
from steersman_engine.sae import SAE
from steersman_engine.sampling import choose
from steersman_engine.scheduler import Work
from steersman_engine.sinks import is_sink
from steersman_engine.steering import Observed, Portion, Steering, Tap


@dataclass(slots=True)
class Outcome:
    """What a step found for one stream."""

    token_id: int | None = None
    logprobs: TokenLogprobs | None = None
    features: TokenFeatures | None = None
    observed: list[Observed] = field(default_factory=list)
    error: Exception | None = None
    """What the stream's own mask raised, or that its logits are not finite."""

    @property
    def abort(self) -> tuple[int, int] | None:
        """Where an abort condition held first, and which."""
        return min((part.abort for part in self.observed if part.abort is not None), default=None)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Positions `start` to `stop` of the work at index `of`."""

    of: int
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start


class Stepper:
    """Computes steps."""

    def __init__(self, forward: Forward, sae: SAE, sink_norm: float) -> None:
        self.forward = forward
        self._sae, self._sink_norm = sae, sink_norm
        self._tap: tuple[list[Steering], Tap] | None = None

    def compute(self, works: Sequence[Work]) -> list[Outcome]:
        """The outcome of each work."""
        cache, device = self.forward.cache, self.forward.cache.taps.device
        fresh = [Stretch(i, work.lower, work.stop) for i, work in enumerate(works) if work.lower < work.stop]
        again = [
            Stretch(i, work.upper, work.lower) for i, work in enumerate(works) if work.upper < work.lower
        ]
        seen = [
            Stretch(i, work.observed, work.upper)
            for i, work in enumerate(works)
            if work.stream.steering is not None and work.observed < work.upper
        ]
        outcomes = [Outcome() for _ in works]
        slot = [_slot(work) for work in works]

        def pack(stretches: list[Stretch]) -> Batch:
            return Batch.of([(slot[part.of], part.start, part.stop) for part in stretches], device)

        batch = pack(fresh)
        known = [cache.taps[slot[part.of], part.start : part.stop] for part in again + seen]
        if fresh:
            ids = [t for part in fresh for t in works[part.of].stream.tokens[part.start : part.stop]]
            new = self.forward.lower(torch.tensor(ids, device=device), batch)
            cache.taps[batch.slots, batch.positions] = new
            known.insert(0, new)
        resid = torch.cat(known) if len(known) > 1 else known[0]

        steered = self._steer(resid, works, fresh + again + seen, outcomes)

        batch = pack(fresh + again) if again else batch
        last = {part.of: at - 1 for part, at in _ends(fresh)}
        asked = [i for i, work in enumerate(works) if work.is_last and not work.stream.complete]
        keep = torch.tensor([last[i] for i in asked], dtype=torch.long, device=device)
        logits = self.forward.upper(steered[: len(batch)], batch, keep)
        if asked:
            self._choose(logits, [works[i] for i in asked], [outcomes[i] for i in asked])
        self._watch(resid, works, last, outcomes)
        return outcomes

    def _steer(
        self, resid: Tensor, works: Sequence[Work], stretches: list[Stretch], outcomes: list[Outcome]
    ) -> Tensor:
        """The residual stream after edits; tokens without any are not touched."""
        index, portions, owners, at = [], [], [], 0
        for part in stretches:
            steering = works[part.of].stream.steering
            if steering is not None:
                index += range(at, at + len(part))
                portions.append(Portion(steering, part.start, part.stop))
                owners.append(part.of)
            at += len(part)
        if not portions:
            return resid
        tap = self._tap_of([s for work in works if (s := work.stream.steering) is not None])
        rows = torch.tensor(index, device=resid.device)
        moved, observed = tap.apply(resid[rows], portions)
        for owner, found in zip(owners, observed, strict=True):
            outcomes[owner].observed.append(found)
        return resid.index_copy(0, rows, moved)

    def _tap_of(self, steerings: list[Steering]) -> Tap:
        """The tap for these; it is kept, since a batch rarely changes from step to step."""
        if self._tap is None or [id(s) for s in self._tap[0]] != [id(s) for s in steerings]:
            self._tap = (steerings, Tap(steerings))
        return self._tap[1]

    def _choose(self, logits: Tensor, works: list[Work], outcomes: list[Outcome]) -> None:
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        fine = logits.amax(-1).isfinite().tolist()
        wanted = [row for row, work in enumerate(works) if work.stream.request.logprobs is not None]
        logprobs = logits[wanted].log_softmax(-1) if wanted else None  # before anything is adjusted
        samplers = [sampler for work in works if (sampler := work.stream.sampler) is not None]
        for row, (work, outcome) in enumerate(zip(works, outcomes, strict=True)):
            try:
                if not fine[row]:
                    raise ArithmeticError("The model's logits are not finite.")
                samplers[row].adjust(logits[row], work.stream.allowed())
            except Exception as error:  # the request's own, and ends it alone
                outcome.error = error
        chosen = choose(logits, samplers).tolist()
        for outcome, token_id in zip(outcomes, chosen, strict=True):
            outcome.token_id = token_id
        if logprobs is not None:
            for row, found in zip(wanted, logprobs, strict=True):
                num_top = works[row].stream.request.logprobs
                assert num_top is not None
                outcomes[row].logprobs = top_logprobs(found, chosen[row], num_top)

    def _watch(
        self, resid: Tensor, works: Sequence[Work], last: dict[int, int], outcomes: list[Outcome]
    ) -> None:
        """The most active features of the tokens just read, for streams that watch their answers."""
        watching = [
            i
            for i, work in enumerate(works)
            if work.stream.request.watch is not None and work.stream.num_answered
        ]
        if not watching:
            return
        x = resid[[last[i] for i in watching]]
        acts, sinks = self._sae.encode(x), is_sink(x, self._sink_norm).tolist()
        for i, row, sink in zip(watching, acts, sinks, strict=True):
            stream = works[i].stream
            if stream.steering is not None:
                row[stream.steering.features] = outcomes[i].observed[0].after[-1].to(row.dtype)
            assert stream.request.watch is not None
            found = [] if sink else most_active(row, stream.request.watch)
            outcomes[i].features = TokenFeatures(works[i].stop - 1, sink, found)


def most_active(acts: Tensor, num: int) -> list[ActiveFeature]:
    """The features of largest activation in `acts` `[d_sae]` that are above zero."""
    values, index = acts.topk(min(num, len(acts)))
    return [
        ActiveFeature(feature, value)
        for feature, value in zip(index.tolist(), values.tolist(), strict=True)
        if value > 0
    ]


def top_logprobs(logprobs: Tensor, token_id: int, num_top: int) -> TokenLogprobs:
    """A token's log probability and the `num_top` largest, of `[vocab]`."""
    values, index = logprobs.topk(num_top)
    top = [TokenLogprob(i, value) for i, value in zip(index.tolist(), values.tolist(), strict=True)]
    return TokenLogprobs(token_id, float(logprobs[token_id]), top)


def _slot(work: Work) -> int:
    assert work.stream.slot is not None
    return work.stream.slot


def _ends(stretches: list[Stretch]) -> list[tuple[Stretch, int]]:
    """Each stretch with the token behind its last in the batch."""
    ends, at = [], 0
    for part in stretches:
        at += len(part)
        ends.append((part, at))
    return ends
