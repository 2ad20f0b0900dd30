"""llama.cpp's server, in this process: `python llama_cpp_worker.py MODEL.gguf MAX_STREAMS MAX_POSITIONS`."""

import os
import sys
from importlib.metadata import version
from typing import Any

import xllamacpp
from worker import Clock, in_threads, serve


def main(model: str, max_streams: str, max_positions: str) -> None:
    options = xllamacpp.CommonParams()
    options.model.path = model
    options.n_parallel = int(max_streams)
    options.n_ctx = int(max_streams) * int(max_positions)
    options.cpuparams.n_threads = options.cpuparams_batch.n_threads = len(os.sched_getaffinity(0))
    options.cache_prompt = False
    server = xllamacpp.Server(options)

    def run(asked: dict[str, Any]) -> dict[str, Any]:
        clock = Clock(len(asked["prompts"]))

        def stream(index: int) -> None:
            def took(event: dict[str, Any]) -> bool:
                if event["choices"][0]["finish_reason"] is None:
                    clock.tick(index, event["choices"][0].get("text"))
                return False

            request = {
                "prompt": asked["prompts"][index],
                "n_predict": asked["new_tokens"],
                "temperature": 0,
                "ignore_eos": True,
                "cache_prompt": False,
                "stream": True,
            }
            server.handle_completions(request, took)

        in_threads(len(asked["prompts"]), stream)
        return clock.answer()

    serve(run, steers=False, software={"xllamacpp": version("xllamacpp")})


if __name__ == "__main__":
    main(*sys.argv[1:])
