"""Where the time of a decoding step goes, by part, with so many streams that write at once.

    python benchmarks/engine_profile.py [--streams 1 8 16 32] [--edits 0 16]

The parts are timed where they are called, each without what it calls; between two looks at a clock no part
is slower than it is otherwise by more than a microsecond. The reading of prompts is left out.
"""

import argparse
import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from engine import Cell, edits_of, prompts_of
from engine_bound import measured_bound
from engine_peers.greedy import greedy_requests
from facts import Table, usable_cores, write

from steersman_engine import fast_forward
from steersman_engine.bundle import Bundle
from steersman_engine.commands import default_cache
from steersman_engine.engine import GenerateRequest
from steersman_engine.fast_attention import SlotAttention
from steersman_engine.fast_forward import FastForward
from steersman_engine.fast_pass import CompiledPass, PlainPass
from steersman_engine.host import HostModel, load_model
from steersman_engine.local_engine import EngineConfig, LocalEngine
from steersman_engine.presets import DEFAULT_MODEL, PRESETS
from steersman_engine.pull import pull
from steersman_engine.steering import Tap
from steersman_engine.step import Stepper

LINEAR, UNEMBED = "linear layers of the blocks", "unembedding"
ATTENTION, SMALL = "attention, rotations, keys and values", "norms, activations, sums"
EDITS, CHOICE, REST, BETWEEN = "edits", "choosing tokens", "the rest of a step", "between steps"
PARTS = (LINEAR, UNEMBED, ATTENTION, SMALL, EDITS, CHOICE, REST, BETWEEN)
PROMPT, NEW_TOKENS = 64, 64


class Clock:
    """Seconds of each part, without the parts inside it; one thread calls them."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.steps = 0
        self._inside: list[float] = []

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, its time counted."""

        def call(*arguments: Any, **named: Any) -> Any:
            self._inside.append(0.0)
            began = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                took = time.perf_counter() - began
                self.seconds[part] += took - self._inside.pop()
                self.steps += part == REST
                if self._inside:
                    self._inside[-1] += took

        return call

    def fused(self, fuse: Callable[..., Any], vocab: int) -> Callable[..., Any]:
        """`fuse`, whose layers are timed."""

        def make(layers: Any) -> Any:
            part = UNEMBED if layers[0].out_features == vocab else LINEAR
            return self.timed(part, fuse(layers))

        return make


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 8, 16, 32])
    parser.add_argument("--edits", type=int, nargs="+", default=[0, 16], help="per stream")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    bound = measured_bound(usable_cores())
    folder, bundle = (
        Path(pull(DEFAULT_MODEL, default_cache())),
        Bundle.named(str(PRESETS[DEFAULT_MODEL].bundle)),
    )
    sae, clock = bundle.sae("cpu"), Clock()
    with torch.no_grad():
        model, _ = load_model(str(folder), dtype=torch.float32)
        host = HostModel(model, bundle.manifest.layer, name=str(folder))
        fuse = clock.fused(fast_forward.fuse, host.W_U.shape[0])
        with patch.object(fast_forward, "fuse", fuse):
            forward = fast_forward.forward_for(host)
    with (
        patch.object(FastForward, "lower", clock.timed(SMALL, FastForward.lower)),
        patch.object(FastForward, "upper", clock.timed(SMALL, FastForward.upper)),
        patch.object(SlotAttention, "__init__", clock.timed(ATTENTION, SlotAttention.__init__)),
        patch.object(PlainPass, "attend", clock.timed(ATTENTION, PlainPass.attend)),
        patch.object(CompiledPass, "attend", clock.timed(ATTENTION, CompiledPass.attend)),
        patch.object(Tap, "apply", clock.timed(EDITS, Tap.apply)),
        patch.object(Stepper, "_choose", clock.timed(CHOICE, Stepper._choose)),
        patch.object(Stepper, "compute", clock.timed(REST, Stepper.compute)),
    ):
        config = EngineConfig(num_slots=max(arguments.streams), kv_bytes=13 * 2**30)
        engine = LocalEngine(host, sae, sink_norm=bundle.manifest.sink_norm, config=config, forward=forward)
        loop, runs = asyncio.new_event_loop(), {}
        for repeat in range(arguments.repeats + 1):
            for streams in arguments.streams:
                for edits in arguments.edits:
                    cell = Cell(streams, PROMPT, edits)
                    prompts, made = prompts_of(folder, cell, repeat), edits_of(cell, sae.d_sae)
                    asked = greedy_requests(prompts, NEW_TOKENS, made)
                    found = loop.run_until_complete(one_run(engine, clock, asked))
                    if repeat:  # the first is a warm-up
                        runs.setdefault((streams, edits), []).append(found)
        loop.run_until_complete(engine.aclose())
    cells = [
        {
            "streams": streams,
            "edits": edits,
            "step_ms": {part: statistics.median(run[part] for run in found) for part in PARTS},
        }
        for (streams, edits), found in runs.items()
    ]
    results = {"bound": bound, "cells": cells}
    workload = {
        "model": folder.name,
        "prompt": PROMPT,
        "new_tokens": NEW_TOKENS,
        "repeats": arguments.repeats,
    }
    print(write("engine_profile", workload=workload, results=results, tables={"parts": table(results)}))


async def one_run(engine: LocalEngine, clock: Clock, requests: list[GenerateRequest]) -> dict[str, float]:
    """Milliseconds of each part in a step, from when all streams write to when the first is done."""
    written = [0] * len(requests)
    marks: list[tuple[float, int, Counter[str]]] = []

    async def one(index: int) -> None:
        async for event in engine.generate(requests[index]):
            written[index] += event.token_id is not None
            if (not marks and all(written)) or (len(marks) == 1 and written[index] == NEW_TOKENS):
                marks.append((time.perf_counter(), clock.steps, clock.seconds.copy()))

    await asyncio.gather(*(one(index) for index in range(len(requests))))
    (began, first, before), (ended, last, after) = marks
    steps = last - first
    taken = {part: 1e3 * (after[part] - before[part]) / steps for part in PARTS}
    return taken | {BETWEEN: 1e3 * (ended - began) / steps - sum(taken.values())}


def table(results: dict[str, Any]) -> Table:
    """A row for each part, a column for each cell, and what the machine's bound allows the products."""
    cells, bound = results["cells"], results["bound"]
    columns = [f"{cell['streams']}{' steered' * bool(cell['edits'])}" for cell in cells]
    rows = [[part, *(f"{cell['step_ms'][part]:.1f}" for cell in cells)] for part in PARTS]
    rows.append(["**whole step**", *(f"**{sum(cell['step_ms'].values()):.1f}**" for cell in cells)])
    rows.append(["bound", *(f"{1e3 * at_best(bound, cell['streams']):.1f}" for cell in cells)])
    edits = max(cell["edits"] for cell in cells)
    note = (
        f"Milliseconds; columns are streams, steered with {edits} edits each. The bound: reading all weights"
        f" once at {bound['read_gb_per_s']:.1f} GB/s, or multiplying by them at"
        f" {bound['float32_gflop_per_s']:.0f} GFLOP/s, whichever takes longer."
    )
    return Table(["part \\ streams", *columns], rows, note)


def at_best(bound: dict[str, float], streams: int) -> float:
    """Seconds that a step takes at least on this machine, with weights in 16 bits and float32 products."""
    return max(1 / bound["one_stream_16_bit"], streams / bound["many_streams"])


if __name__ == "__main__":
    main()
