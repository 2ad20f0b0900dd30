"""The engine that runs here, over a transformers model in this process.

This is its asyncio side: it checks requests and passes them to the thread of `EngineLoop`.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from steersman_engine import inspection
from steersman_engine.attribution import attribute
from steersman_engine.edits import AffineEdit
from steersman_engine.engine import (
    AttributionRequest,
    EngineError,
    EngineInfo,
    EngineTimeoutError,
    GenerateRequest,
    InspectRequest,
    RequestTooLargeError,
    TokenEvent,
    TokenFeatures,
    TokenLogprobs,
    TokenScores,
)
from steersman_engine.engine_loop import EngineLoop
from steersman_engine.forward import Forward
from steersman_engine.host import HostModel
from steersman_engine.jobs import Job
from steersman_engine.kv import KVCache
from steersman_engine.prompt import Prompt
from steersman_engine.sae import SAE
from steersman_engine.stats import EngineStats
from steersman_engine.stream import Caller, Stream
from steersman_engine.transformers_forward import TransformersForward, kv_shape
from steersman_engine.whole_pass import Steps

T = TypeVar("T")
ForwardFactory = Callable[[HostModel, int, int], Forward]
"""Makes the forward pass of a host for a number of slots and of positions in each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """What an engine may take."""

    num_slots: int = 16
    """Answers written at once, if `kv_bytes` holds so many."""
    kv_bytes: int = 6 * 2**30
    """For keys and values. On a CPU it is taken only as sequences grow."""
    max_waiting: int = 256
    """Requests that may wait for a slot."""
    chunk_beside: int = 128
    """Prompt tokens read in a step beside running answers: each such chunk makes these wait."""
    chunk_alone: int = 512
    """Prompt tokens read in a step when no answer is being written."""
    max_jobs: int = 32
    """Attributions and inspections that may wait."""
    max_job_positions: int = 4096
    """Longest text that one of these takes."""
    job_timeout_s: float | None = None
    """How long one of these may take, waiting included; None: as long as it does."""


class LocalEngine:
    """An `Engine` over a transformers model in this process.

    Raises:
        ValueError: The SAE is for a model of another width, or the memory holds no sequence.
    """

    def __init__(
        self,
        host: HostModel,
        sae: SAE,
        *,
        sink_norm: float,
        config: EngineConfig | None = None,
        forward: ForwardFactory = TransformersForward,
    ) -> None:
        if sae.d_in != host.d_model:
            raise ValueError(f"The SAE reads {sae.d_in} numbers a token; the model has {host.d_model}.")
        config = config or EngineConfig()
        num_slots, positions = room(host.model.config, host.model.dtype, config)
        self._host, self._sae, self._sink_norm = host, sae, sink_norm
        self._job_timeout_s = config.job_timeout_s
        self._mean_W_U = host.W_U.float().mean(0)
        self.info = EngineInfo(
            d_sae=sae.d_sae,
            max_positions=positions,
            vocab_size=host.W_U.shape[0],
            max_job_positions=min(positions, config.max_job_positions),
        )
        self._loop = EngineLoop(
            lambda: forward(host, num_slots, positions),
            sae,
            sink_norm=sink_norm,
            vocab_size=self.info.vocab_size,
            chunk_beside=config.chunk_beside,
            chunk_alone=config.chunk_alone,
            max_waiting=config.max_waiting,
            max_jobs=config.max_jobs,
        )

    async def generate(self, request: GenerateRequest) -> AsyncGenerator[TokenEvent, None]:
        """The answer, token by token, then one event with `finish`."""
        self._check(request)
        caller = Caller(asyncio.get_running_loop())
        self._loop.submit(Stream(request, caller))
        try:
            while True:
                event = await caller.events.get()
                if isinstance(event, EngineError):
                    raise event
                yield event
                if event.finish is not None:
                    return
        finally:
            caller.gone = True

    async def attribute(self, request: AttributionRequest) -> list[TokenScores]:
        """One entry for each of `request.tokens`, in that order."""
        if not request.tokens:
            return []
        size = len(request.prompt) + len(request.answer)
        return await self._run("attribution", size, attribute(*self._parts, request, self._mean_W_U))

    async def inspect(self, request: InspectRequest) -> list[TokenFeatures]:
        """One entry for each token of the prompt."""
        return await self._run("inspection", len(request.prompt), inspection.inspect(*self._parts, request))

    async def logits(self, prompt: Prompt, edits: tuple[AffineEdit, ...]) -> Tensor:
        """The logits of the token after the prompt, `[vocab]` float32 on the CPU."""
        return await self._run("logits", len(prompt), inspection.logits(*self._parts, prompt, edits))

    async def score(self, prompt: Prompt, edits: tuple[AffineEdit, ...], num_top: int) -> list[TokenLogprobs]:
        """The log probability of each token of the prompt but the first, given those before it."""
        steps = inspection.score(*self._parts, prompt, edits, num_top)
        return await self._run("scoring", len(prompt), steps)

    def stats(self) -> EngineStats:
        """What it has done and is doing."""
        return self._loop.stats()

    async def aclose(self) -> None:
        """Stop; requests under way end with EngineError."""
        await asyncio.to_thread(self._loop.close)

    @property
    def _parts(self) -> tuple[HostModel, SAE, float]:
        return self._host, self._sae, self._sink_norm

    def _check(self, request: GenerateRequest) -> None:
        if not request.prompt.token_ids or request.max_tokens < 1:
            raise ValueError("A prompt has at least one token, and so has an answer.")
        for what, size, limit in (
            (
                "tokens in prompt and answer",
                len(request.prompt) + request.max_tokens,
                self.info.max_positions,
            ),
            ("edits", sum(not edit.is_probe for edit in request.edits), self.info.max_edits),
            ("log probabilities", request.logprobs or 0, self.info.max_logprobs),
        ):
            if size > limit:
                raise RequestTooLargeError(f"{size} {what} are asked for; the most is {limit}.")

    async def _run(self, name: str, size: int, steps: Steps[T]) -> T:
        """Let one of `stats.JOBS`, of so many positions, run between the streams' steps."""
        if size > self.info.max_job_positions:
            raise RequestTooLargeError(
                f"The text has {size} tokens; the most is {self.info.max_job_positions}."
            )
        if not size:
            raise ValueError("The text has no token.")
        loop = asyncio.get_running_loop()
        job = Job(steps, loop, loop.create_future())
        self._loop.submit(job)
        began, took_s = time.monotonic(), None
        try:
            async with asyncio.timeout(self._job_timeout_s):
                found = await job.future
            took_s = time.monotonic() - began
            return found
        except TimeoutError as error:
            raise EngineTimeoutError(f"It took more than {self._job_timeout_s:g} s.") from error
        finally:
            job.cancelled = True
            self._loop.job_over(name, took_s)


def room(model: Any, dtype: torch.dtype, config: EngineConfig) -> tuple[int, int]:
    """How many slots there are for a model of transformers' configuration, and how many positions each has.

    A slot has room for the model's longest sequence, or, where not even one such fits, for what does.

    Raises:
        ValueError: The memory does not hold a sequence of one token.
    """
    each = KVCache.bytes_per_position(dtype=dtype, **kv_shape(model))
    positions = min(model.max_position_embeddings, config.kv_bytes // each)
    if positions < 1:
        raise ValueError(
            f"{config.kv_bytes} bytes for keys and values hold no token, of which one takes {each}:"
            " allow more (--kv-gib)."
        )
    return max(1, min(config.num_slots, config.kv_bytes // (each * positions))), positions
