"""Asking an engine, and a reference that shares nothing with it: whole passes and a plain hook."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from steersman_engine.conditions import AllOf, AnyOf, Comparison, Condition, FeatureAct, Not
from steersman_engine.edits import AffineEdit
from steersman_engine.engine import GenerateRequest, Sampling, TokenEvent
from steersman_engine.host import HostModel
from steersman_engine.local_engine import EngineConfig, LocalEngine
from steersman_engine.prompt import Kind, Prompt
from steersman_engine.sae import SAE

NO_SINKS = float("inf")
SMALL = EngineConfig(num_slots=3, chunk_beside=4, chunk_alone=7)
"""Few slots and small chunks, so that little requests meet everything large ones do."""


def prompt_of(*ids: int, roles: Sequence[int] | None = None) -> Prompt:
    return Prompt(ids, tuple(roles or [1] * len(ids)), (Kind.CONTENT,) * len(ids))


def request(**options: Any) -> GenerateRequest:
    defaults = {"prompt": prompt_of(1, 40, 50), "max_tokens": 12, "sampling": Sampling(temperature=0)}
    return GenerateRequest(**{**defaults, **options})


@dataclass(frozen=True)
class Answer:
    """All events of a stream."""

    events: list[TokenEvent]

    @property
    def tokens(self) -> list[int]:
        return [event.token_id for event in self.events if event.token_id is not None]

    @property
    def last(self) -> TokenEvent:
        return self.events[-1]


async def collect(engine: LocalEngine, asked: GenerateRequest) -> Answer:
    answer = Answer([event async for event in engine.generate(asked)])
    assert [event.finish is None for event in answer.events] == [True] * (len(answer.events) - 1) + [False]
    return answer


def ask(engine: LocalEngine, asked: GenerateRequest) -> Answer:
    return asyncio.run(collect(engine, asked))


def ask_all(engine: LocalEngine, asked: Sequence[GenerateRequest]) -> list[Answer]:
    async def together() -> list[Answer]:
        return list(await asyncio.gather(*(collect(engine, one) for one in asked)))

    return asyncio.run(together())


def holds(condition: Condition, h: Sequence[float]) -> bool:
    """A condition at one token's activations, in plain Python."""
    match condition:
        case Comparison(feature, op, right):
            left = h[feature]
            other = h[right.feature] if isinstance(right, FeatureAct) else right
            return {
                "<": left < other,
                "<=": left <= other,
                "==": left == other,
                "!=": left != other,
                ">=": left >= other,
                ">": left > other,
            }[op]
        case Not(inner):
            return not holds(inner, h)
        case AllOf(parts):
            return all(holds(part, h) for part in parts)
        case AnyOf(parts):
            return any(holds(part, h) for part in parts)


def hooked_logits(
    host: HostModel, sae: SAE, asked: GenerateRequest, ids: Sequence[int], sink_norm: float
) -> Tensor:
    """Logits `[pos, vocab]` of a whole pass, each token edited by itself: `decode(edited h) + error`."""
    double = SAE(**{name: t.double() for name, t in sae.named_buffers()})

    def edited(position: int, h: list[float], edit: AffineEdit) -> bool:
        if edit.when is not None and not holds(edit.when, h):
            return False
        if position >= len(asked.prompt):
            return edit.in_generation
        return edit.in_prompt and (edit.roles is None or asked.prompt.roles[position] in edit.roles)

    def hook(block: Any, args: Any, output: Tensor) -> Tensor:
        out = output.clone()
        for position, x in enumerate(output[0]):
            if x.norm() > sink_norm:
                continue
            h = double.encode(x)
            steered = h.clone()
            for edit in asked.edits:
                if edited(position, h.tolist(), edit):
                    steered[edit.feature] = edit.mul * steered[edit.feature] + edit.add
            out[0, position] = double.decode(steered) + (x - double.decode(h))
        return out

    handle = host.model.model.layers[host.layer].register_forward_hook(hook)
    try:
        with torch.no_grad():
            return host.model(torch.tensor([list(ids)])).logits[0]
    finally:
        handle.remove()


def reference(host: HostModel, sae: SAE, asked: GenerateRequest, *, sink_norm: float = NO_SINKS) -> list[int]:
    """The greedy answer by whole passes with a plain hook."""
    ids = list(asked.prompt.token_ids)
    for _ in range(asked.max_tokens):
        ids.append(int(hooked_logits(host, sae, asked, ids, sink_norm)[-1].argmax()))
    return ids[len(asked.prompt) :]
