"""What this machine could do at best: how fast it reads memory and multiplies matrices."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

PARAMETERS = 134_515_008
"""Of SmolLM2-135M, embeddings (which are the unembedding too) included: all are read in every step."""


def measured_bound(threads: int) -> dict[str, Any]:
    """Read bandwidth, float32 product rate, and the tokens per second of one stream that reading allows."""
    torch.set_num_threads(threads)
    buffer, a = torch.ones(1 << 26), torch.randn(1536, 1536)
    read = buffer.nbytes / _median(lambda: buffer.sum()) / 1e9
    multiply = 2 * 1536**3 / _median(lambda: a @ a) / 1e9
    return {
        "read_gb_per_s": read,
        "float32_gflop_per_s": multiply,
        "one_stream_float32": read * 1e9 / (4 * PARAMETERS),
        "one_stream_16_bit": read * 1e9 / (2 * PARAMETERS),
        "many_streams": multiply * 1e9 / (2 * PARAMETERS),
    }


def _median(run: Callable[[], Any], repeats: int = 7) -> float:
    run()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
