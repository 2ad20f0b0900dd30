"""Our engine, as the server runs it: `python steersman_worker.py MODEL_FOLDER BUNDLE [fast|transformers]`."""

import asyncio
import sys
import time
from typing import Any

import torch
from greedy import greedy_requests
from worker import Clock, serve

from steersman_engine.bundle import Bundle
from steersman_engine.fast_forward import forward_for
from steersman_engine.host import HostModel, load_model
from steersman_engine.local_engine import EngineConfig, LocalEngine
from steersman_engine.transformers_forward import TransformersForward


def main(folder: str, bundle: str, kind: str) -> None:
    opened = Bundle.named(bundle)
    model, _ = load_model(folder, dtype=torch.float32)
    host = HostModel(model, opened.manifest.layer, name=folder)
    forward = forward_for(host) if kind == "fast" else TransformersForward
    engine = LocalEngine(
        host,
        opened.sae("cpu"),
        sink_norm=opened.manifest.sink_norm,
        config=EngineConfig(num_slots=32, kv_bytes=13 * 2**30),
        forward=forward,
    )
    loop = asyncio.new_event_loop()

    def run(asked: dict[str, Any]) -> dict[str, Any]:
        requests = greedy_requests(asked["prompts"], asked["new_tokens"], asked["edits"])
        clock = Clock(len(requests))
        steps, seconds = engine.stats().steps_total, engine.stats().step_seconds.sum

        async def one(index: int) -> None:
            async for event in engine.generate(requests[index]):
                if event.token_id is not None:
                    clock.tick(index, event.token_id)

        async def everyone() -> float:
            await asyncio.gather(*(one(index) for index in range(len(requests))))
            return time.perf_counter()

        began = time.perf_counter()
        wall = loop.run_until_complete(everyone()) - began
        stats = engine.stats()
        inside = {"steps": stats.steps_total - steps, "in_steps_s": stats.step_seconds.sum - seconds}
        return {**clock.answer(), **inside, "wall_s": wall}

    serve(run, steers=True, software={"torch": torch.__version__})


if __name__ == "__main__":
    main(*sys.argv[1:])
