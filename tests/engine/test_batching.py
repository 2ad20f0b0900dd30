"""Many streams at once: none may notice the others."""

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.engine.conftest import MakeEngine
from tests.engine.tools import Answer, ask, ask_all, collect, prompt_of, request

from steersman_engine.conditions import Comparison
from steersman_engine.edits import AffineEdit
from steersman_engine.engine import (
    EngineBusyError,
    EngineError,
    GenerateRequest,
    RequestTooLargeError,
    Sampling,
)
from steersman_engine.local_engine import EngineConfig, LocalEngine

SYSTEM = (1, *range(20, 44))
"""A beginning that prompts share, long enough to be worth sharing."""

edits = st.builds(
    AffineEdit,
    feature=st.integers(0, 5),
    mul=st.sampled_from([0.0, 1.0]),
    add=st.sampled_from([-20.0, 15.0, 40.0]),
    in_prompt=st.booleans(),
    in_generation=st.booleans(),
    when=st.none() | st.builds(Comparison, st.integers(6, 8), st.sampled_from(["<", ">"]), st.just(0.5)),
)
requests = st.builds(
    lambda shared, own, edits, temperature, seed, max_tokens, watch: request(
        prompt=prompt_of(*SYSTEM[:shared], *own),
        edits=tuple(edits),
        sampling=Sampling(temperature=temperature, top_p=0.9, seed=seed, presence_penalty=0.5),
        max_tokens=max_tokens,
        watch=watch,
        logprobs=2,
    ),
    shared=st.sampled_from([1, 3, 25]),
    own=st.lists(st.integers(50, 53), max_size=12),
    edits=st.lists(edits, max_size=2),
    temperature=st.sampled_from([0.0, 1.0]),
    seed=st.integers(0, 3),
    max_tokens=st.integers(1, 10),
    watch=st.none() | st.just(3),
)
arrivals = st.tuples(requests, st.integers(0, 3), st.none() | st.integers(0, 4))
"""A request, loop turns before it comes, and after how many events its caller goes away."""


async def _serve(engine: LocalEngine, asked: GenerateRequest, turns: int, leave: int | None) -> Answer:
    for _ in range(turns):
        await asyncio.sleep(0.003)
    if leave is None:
        return await collect(engine, asked)
    events = []
    stream = engine.generate(asked)
    async for event in stream:
        if len(events) == leave:
            break
        events.append(event)
    await stream.aclose()
    return Answer(events)


def _same(found: Answer, alone: Answer, *, partial: bool) -> None:
    expected = alone.events[: len(found.events)] if partial else alone.events
    for one, other in zip(found.events, expected, strict=True):
        assert (one.token_id, one.finish) == (other.token_id, other.finish)
        for a, b in zip(one.reports, other.reports, strict=True):
            assert a.tokens_edited == b.tokens_edited
            assert a.activation_sum == pytest.approx(b.activation_sum, abs=1e-3)
        if one.features is not None:
            assert other.features is not None
            assert [f.feature for f in one.features.features] == [f.feature for f in other.features.features]
        if one.logprobs is not None:
            assert other.logprobs is not None
            assert one.logprobs.logprob == pytest.approx(other.logprobs.logprob, abs=1e-5)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(arrivals, min_size=1, max_size=7))
def test_each_answer_is_its_solo_run_whatever_arrives_beside_it(make_engine: MakeEngine, plan) -> None:
    crowded = make_engine()

    async def crowd() -> Sequence[Answer]:
        return await asyncio.gather(*(_serve(crowded, *one) for one in plan))

    together = asyncio.run(crowd())
    for found, (asked, _, leave) in zip(together, plan, strict=True):
        solo = make_engine(EngineConfig(num_slots=1))  # nothing to reuse, nobody beside
        _same(found, ask(solo, asked), partial=leave is not None)
        asyncio.run(solo.aclose())
    asyncio.run(crowded.aclose())


def test_200_requests_with_random_cancels_leave_nothing_behind(make_engine: MakeEngine) -> None:
    engine = make_engine(EngineConfig(num_slots=8, chunk_beside=16))
    threads = threading.active_count()
    generator = torch.Generator().manual_seed(5)

    def draw(high: int) -> int:
        return int(torch.randint(high, (), generator=generator))

    plan = [
        (
            request(
                prompt=prompt_of(*SYSTEM[: 1 + draw(25)], 50 + draw(40)),
                max_tokens=1 + draw(20),
                edits=(AffineEdit(draw(40), 0.0, 20.0),) * draw(3),
                sampling=Sampling(seed=draw(5)),
            ),
            draw(4),
            draw(6) if draw(2) else None,
        )
        for _ in range(200)
    ]

    async def waves() -> None:
        at_once = asyncio.Semaphore(16)  # twice the slots

        async def one(asked: GenerateRequest, turns: int, leave: int | None) -> None:
            async with at_once:
                await _serve(engine, asked, turns, leave)

        await asyncio.gather(*(one(*planned) for planned in plan))

    asyncio.run(waves())
    deadline = time.monotonic() + 10
    while (stats := engine.stats()).slots_used and time.monotonic() < deadline:
        time.sleep(0.01)
    assert (stats.slots_used, stats.queue_length, stats.jobs_waiting) == (0, 0, 0)
    assert sum(stats.requests_total.values()) == 200
    assert set(stats.requests_total) <= {"length", "cancelled"}
    loop = engine._loop
    assert not loop._scheduler.running and not loop._scheduler.waiting
    assert threading.active_count() == threads
    asyncio.run(engine.aclose())
    assert not loop._deliveries._waiting and not loop._thread.is_alive()


def test_a_cancel_frees_the_slot_within_a_step(make_engine: MakeEngine) -> None:
    engine = make_engine(EngineConfig(num_slots=1))

    async def leave_and_ask() -> int:
        stream = engine.generate(request(max_tokens=200))
        await anext(stream)
        await stream.aclose()
        before = engine.stats().steps_total
        other = engine.generate(request(prompt=prompt_of(1, 99), max_tokens=1))
        await anext(other)
        return engine.stats().steps_total - before

    assert asyncio.run(leave_and_ask()) <= 3


def test_a_long_prompt_stalls_no_running_stream(engine: LocalEngine) -> None:
    """While a prompt of 120 tokens is read, 4 at a time, a running stream gets a token each step."""

    async def both() -> tuple[int, int]:
        running = engine.generate(request(max_tokens=200))
        await anext(running)
        long = asyncio.create_task(
            collect(engine, request(prompt=prompt_of(1, *range(60, 179)), max_tokens=1))
        )
        tokens = 0
        while not long.done():
            await anext(running)
            tokens += 1
        await running.aclose()
        return tokens, engine.stats().steps_total

    tokens, _ = asyncio.run(both())
    assert tokens >= 120 // 4 - 2


def test_first_come_is_first_served(make_engine: MakeEngine) -> None:
    engine = make_engine(EngineConfig(num_slots=1))
    order: list[int] = []

    async def one(index: int) -> None:
        await collect(engine, request(prompt=prompt_of(1, 60 + index), max_tokens=3))
        order.append(index)

    async def all_of_them() -> None:
        await asyncio.gather(*(one(index) for index in range(6)))

    asyncio.run(all_of_them())
    assert order == list(range(6))


def test_a_full_queue_refuses(make_engine: MakeEngine) -> None:
    engine = make_engine(EngineConfig(num_slots=1, max_waiting=2))

    async def crowd() -> list[Answer | BaseException]:
        asked = [collect(engine, request(prompt=prompt_of(1, 60 + i))) for i in range(5)]
        return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(crowd())
    assert [isinstance(one, EngineBusyError) for one in found] == [False] * 3 + [True] * 2
    assert engine.stats().requests_total["refused"] == 2


def test_what_can_never_fit_is_refused(engine: LocalEngine) -> None:
    with pytest.raises(RequestTooLargeError, match="259 tokens in prompt and answer"):
        ask(engine, request(max_tokens=256))
    with pytest.raises(RequestTooLargeError, match="65 edits"):
        ask(engine, request(edits=(AffineEdit(1, 0, 1),) * 65))


def test_a_sequence_may_fill_its_slot_to_the_last_position(engine: LocalEngine) -> None:
    assert len(ask(engine, request(max_tokens=253, watch=1)).tokens) == 253


def test_the_memory_limit_decides_how_many_slots_there_are(make_engine: MakeEngine) -> None:
    each = (2 * 4 * 2 * 8 + 32) * 8  # keys and values of 4 blocks, 2 heads of 8, and the tap, in float64
    assert make_engine(EngineConfig(kv_bytes=3 * 256 * each)).stats().slots == 3
    short = make_engine(EngineConfig(kv_bytes=100 * each))
    assert (short.stats().slots, short.info.max_positions) == (1, 100)


def test_a_deadline_ends_an_answer_as_it_stands(engine: LocalEngine) -> None:
    late = request(deadline=time.monotonic() - 1)
    assert ask(engine, late).last.finish == "deadline"
    soon = ask(engine, request(max_tokens=253, deadline=time.monotonic() + 0.05))
    assert soon.last.finish in ("deadline", "length")
    assert engine.stats().slots_used == 0


def test_the_same_seed_gives_the_same_text_whatever_shares_the_batch(engine: LocalEngine) -> None:
    seeded = request(sampling=Sampling(seed=7, temperature=1.5), max_tokens=30)
    others = [request(prompt=prompt_of(1, 60 + i), sampling=Sampling(seed=i), max_tokens=9) for i in range(6)]
    alone = ask(engine, seeded).tokens
    assert ask_all(engine, [*others, seeded])[-1].tokens == alone
    assert ask(engine, replace(seeded, sampling=Sampling(seed=8, temperature=1.5))).tokens != alone


def test_several_answers_to_one_prompt_differ_and_repeat(engine: LocalEngine) -> None:
    asked = request(sampling=Sampling(seed=7), max_tokens=20)
    first = [one.tokens for one in ask_all(engine, [asked.choice(i) for i in range(3)])]
    assert len({tuple(tokens) for tokens in first}) == 3
    assert first[0] == ask(engine, asked).tokens
    assert first == [one.tokens for one in ask_all(engine, [asked.choice(i) for i in range(3)])]


def test_closing_ends_running_and_waiting_streams(make_engine: MakeEngine) -> None:
    engine = make_engine(EngineConfig(num_slots=1))

    async def close_amid() -> list[Answer | BaseException]:
        asked = [asyncio.ensure_future(collect(engine, request(max_tokens=250))) for _ in range(3)]
        await asyncio.sleep(0.02)
        await engine.aclose()
        return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(close_amid())
    assert all(isinstance(one, EngineError) and "closed" in str(one) for one in found)
    with pytest.raises(EngineError, match="closed"):
        ask(engine, request())
