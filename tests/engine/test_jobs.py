"""Attribution and inspection through the engine, beside streams."""

import asyncio

import pytest
import torch
from tests.engine.conftest import MakeEngine
from tests.engine.tools import NO_SINKS, ask, hooked_logits, prompt_of, request

from steersman_engine.edits import AffineEdit
from steersman_engine.engine import (
    AttributionRequest,
    EngineBusyError,
    InspectRequest,
    RequestTooLargeError,
)
from steersman_engine.host import HostModel
from steersman_engine.local_engine import EngineConfig, LocalEngine
from steersman_engine.sae import SAE

IDS = (1, 40, 50, 60, 70)
PUSH = (AffineEdit(4, 0, 60.0),)


def test_inspection_lists_what_is_active_most_active_first(
    engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    acts = tiny_sae.encode(tiny_host.residual(torch.tensor([IDS]))[0])
    for token, expected in zip(
        asyncio.run(engine.inspect(InspectRequest(prompt=prompt_of(*IDS)))), acts, strict=True
    ):
        found = [(one.feature, one.activation) for one in token.features]
        assert {feature for feature, _ in found} == set(expected.nonzero()[:, 0].tolist())
        assert [value for _, value in found] == sorted((v for v in expected.tolist() if v), reverse=True)
    few = asyncio.run(engine.inspect(InspectRequest(prompt=prompt_of(*IDS), top_k=2)))
    assert [len(token.features) for token in few] == [2] * 5


def test_a_sink_has_no_features(make_engine: MakeEngine) -> None:
    engine = make_engine(sink_norm=0.0)
    for token in asyncio.run(engine.inspect(InspectRequest(prompt=prompt_of(*IDS), edits=PUSH))):
        assert token.is_sink and token.features == []


def test_logits_are_those_of_the_next_token(engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE) -> None:
    for edits in ((), PUSH):
        found = asyncio.run(engine.logits(prompt_of(*IDS), edits))
        asked = request(prompt=prompt_of(*IDS), edits=edits)
        expected = hooked_logits(tiny_host, tiny_sae, asked, IDS, NO_SINKS)[-1]
        torch.testing.assert_close(found, expected.float(), rtol=1e-4, atol=1e-4)


def test_scores_are_the_prompt_s_own_logprobs(
    engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    asked = request(prompt=prompt_of(*IDS), edits=PUSH)
    expected = hooked_logits(tiny_host, tiny_sae, asked, IDS, NO_SINKS).log_softmax(-1)
    found = asyncio.run(engine.score(asked.prompt, PUSH, 2))
    assert [one.token_id for one in found] == list(IDS[1:])
    for one, row in zip(found, expected, strict=False):
        assert one.logprob == pytest.approx(float(row[one.token_id]), abs=1e-4)
        assert [top.token_id for top in one.top] == row.topk(2).indices.tolist()


def test_streams_go_on_beside_a_job(engine: LocalEngine) -> None:
    """A job takes several steps, and a running stream gets tokens between them."""
    explained = AttributionRequest(
        prompt=prompt_of(1, *range(30, 130)), answer=tuple(range(40, 70)), tokens=tuple(range(30))
    )

    async def both() -> tuple[int, list[int]]:
        stream = engine.generate(request(max_tokens=200))
        tokens = [event.token_id async for event in _first(stream)]
        job = asyncio.create_task(engine.attribute(explained))
        while not job.done():
            event = await anext(stream, None)
            if event is None or event.token_id is None:
                break
            tokens.append(event.token_id)
        beside = len(tokens) - 1
        await job
        await stream.aclose()
        return beside, [token for token in tokens if token is not None]

    beside, tokens = asyncio.run(both())
    assert beside >= 3
    assert tokens == ask(engine, request(max_tokens=len(tokens))).tokens


async def _first(stream):
    yield await anext(stream)


def test_too_many_jobs_are_refused(make_engine: MakeEngine) -> None:
    engine = make_engine(EngineConfig(max_jobs=2))

    async def crowd():
        asked = [engine.inspect(InspectRequest(prompt=prompt_of(*IDS))) for _ in range(4)]
        return await asyncio.gather(*asked, return_exceptions=True)

    found = asyncio.run(crowd())
    assert [isinstance(one, EngineBusyError) for one in found] == [False, False, True, True]


def test_a_job_that_is_too_long_is_refused(make_engine: MakeEngine) -> None:
    engine = make_engine(EngineConfig(max_job_positions=4))
    with pytest.raises(RequestTooLargeError, match="5 tokens; the most is 4"):
        asyncio.run(engine.logits(prompt_of(*IDS), ()))


def test_what_is_not_there_cannot_be_explained(engine: LocalEngine) -> None:
    beyond = AttributionRequest(prompt=prompt_of(*IDS), answer=(60,), tokens=(1,))
    with pytest.raises(ValueError, match="give a `target`"):
        asyncio.run(engine.attribute(beyond))


def test_a_job_that_was_given_up_is_not_counted(engine: LocalEngine) -> None:
    async def leave() -> None:
        task = asyncio.create_task(engine.inspect(InspectRequest(prompt=prompt_of(*IDS))))
        await asyncio.sleep(0)  # it is the engine's now, and the result cannot have come
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(leave())
    assert (engine.stats().jobs_waiting, engine.stats().job_seconds["inspection"].count) == (0, 0)


def test_a_cancelled_job_is_dropped(engine: LocalEngine) -> None:
    async def leave() -> None:
        explained = AttributionRequest(
            prompt=prompt_of(1, *range(30, 200)), answer=tuple(range(40, 70)), tokens=tuple(range(30))
        )
        task = asyncio.create_task(engine.attribute(explained))
        await asyncio.sleep(0.02)
        task.cancel()
        await engine.inspect(InspectRequest(prompt=prompt_of(*IDS)))
        assert engine.stats().jobs_waiting <= 1

    asyncio.run(leave())
