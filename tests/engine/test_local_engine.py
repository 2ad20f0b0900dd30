import asyncio
from collections.abc import Iterator

import pytest
import torch

from steersman_engine.edits import AffineEdit
from steersman_engine.engine import (
    AttributionRequest,
    EngineError,
    GenerateRequest,
    InspectRequest,
    Sampling,
    TokenEvent,
)
from steersman_engine.host import HostModel
from steersman_engine.local_engine import LocalEngine
from steersman_engine.prompt import Kind, Prompt
from steersman_engine.sae import SAE

NO_SINKS = float("inf")
GREEDY = Sampling(temperature=0)
PUSH = (AffineEdit(4, 0, 60.0),)


@pytest.fixture
def engine(tiny_host: HostModel, tiny_sae: SAE) -> Iterator[LocalEngine]:
    engine = LocalEngine(tiny_host, tiny_sae, sink_norm=NO_SINKS)
    yield engine
    asyncio.run(engine.aclose())


def prompt_of(*ids: int) -> Prompt:
    return Prompt(ids, (1,) * len(ids), (Kind.CONTENT,) * len(ids))


def request(**options) -> GenerateRequest:
    defaults = {"prompt": prompt_of(1, 40, 50), "max_tokens": 12, "sampling": GREEDY}
    return GenerateRequest(**{**defaults, **options})


async def collect(engine: LocalEngine, asked: GenerateRequest) -> tuple[list[int], TokenEvent]:
    events = [event async for event in engine.generate(asked)]
    assert all(event.finish is None for event in events[:-1])
    return [event.token_id for event in events[:-1] if event.token_id is not None], events[-1]


def run(engine: LocalEngine, asked: GenerateRequest) -> tuple[list[int], TokenEvent]:
    return asyncio.run(collect(engine, asked))


def test_greedy_answers_are_those_of_generate(engine: LocalEngine, tiny_model) -> None:
    ids = torch.tensor([[1, 40, 50]])
    expected = tiny_model.generate(ids, max_new_tokens=12, do_sample=False, eos_token_id=None)
    assert run(engine, request())[0] == expected[0, 3:].tolist()


def test_a_steered_answer_is_the_same_token_by_token_as_in_whole_passes(
    engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    """The cache holds what an uncached pass over all tokens computes."""
    from steersman_engine.steering import Steering

    found, last = run(engine, request(edits=PUSH))
    ids = [1, 40, 50]
    for token_id in found:
        steering = Steering.of(PUSH, prompt_of(1, 40, 50), tiny_sae, NO_SINKS)
        assert steering is not None
        logits = tiny_host.logits(torch.tensor([ids]), edit=lambda x, s=steering: s.apply(x[0])[0][None])
        assert token_id == int(logits[0, -1].argmax())
        ids.append(token_id)
    assert found != run(engine, request())[0]
    assert last.reports[0].tokens_edited == 3 + 11  # the last token is never read


def test_requests_side_by_side_do_not_touch_each_other(engine: LocalEngine) -> None:
    asked = [request(), request(edits=PUSH), request(prompt=prompt_of(1, 77)), request(edits=PUSH)]

    async def together() -> list[list[int]]:
        return [tokens for tokens, _ in await asyncio.gather(*(collect(engine, one) for one in asked))]

    assert asyncio.run(together()) == [run(engine, one)[0] for one in asked]


def test_the_same_seed_gives_the_same_tokens(engine: LocalEngine) -> None:
    seeded = request(sampling=Sampling(seed=7), max_tokens=30)
    assert run(engine, seeded)[0] == run(engine, seeded)[0]
    assert run(engine, request(sampling=Sampling(seed=8), max_tokens=30))[0] != run(engine, seeded)[0]


def test_a_stop_token_ends_the_answer_and_is_not_part_of_it(engine: LocalEngine) -> None:
    tokens, last = run(engine, request())
    stop = tokens[5]
    stopped, end = run(engine, request(stop_token_ids=frozenset({stop})))
    assert stopped == tokens[: tokens.index(stop)]
    assert (end.finish, last.finish) == ("stop", "length")


def test_closing_the_iterator_cancels(engine: LocalEngine) -> None:
    async def take_two() -> None:
        events = engine.generate(request(max_tokens=200, sampling=Sampling(seed=1)))
        async for _ in events:
            break
        await events.aclose()  # type: ignore[attr-defined]
        await asyncio.wait_for(collect(engine, request()), timeout=30)  # not stuck behind it

    asyncio.run(take_two())


def test_a_failing_request_takes_no_other_with_it(engine: LocalEngine) -> None:
    bad = request(prompt=prompt_of(1, 10**6))  # no such token

    async def together():
        return await asyncio.gather(collect(engine, bad), collect(engine, request()), return_exceptions=True)

    failed, fine = asyncio.run(together())
    assert isinstance(failed, EngineError)
    assert not isinstance(fine, BaseException)
    assert fine[0] == run(engine, request())[0]


def test_a_closed_engine_says_so(tiny_host: HostModel, tiny_sae: SAE) -> None:
    engine = LocalEngine(tiny_host, tiny_sae, sink_norm=NO_SINKS)
    asyncio.run(engine.aclose())
    with pytest.raises(EngineError, match="closed"):
        run(engine, request())


def test_attribution_comes_for_each_token_asked_for(engine: LocalEngine) -> None:
    asked = AttributionRequest(prompt=prompt_of(1, 40, 50), answer=(60, 70, 80), tokens=(2, 0), top_k=3)
    scores = asyncio.run(engine.attribute(asked))
    assert [(one.index, len(one.features)) for one in scores] == [(2, 3), (0, 3)]


def test_feature_activations_show_the_edit(engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE) -> None:
    prompt = prompt_of(1, 40, 50)
    acts = tiny_sae.encode(tiny_host.residual(torch.tensor([[1, 40, 50]]))[0])
    for edits, of_4 in (((), acts[:, 4].tolist()), (PUSH, [60.0] * 3)):
        found = asyncio.run(engine.inspect(InspectRequest(prompt=prompt, edits=edits, features=(4, 9))))
        for token, four, nine in zip(found, of_4, acts[:, 9].tolist(), strict=True):
            values = {one.feature: one.activation for one in token.features}
            assert (values.get(4, 0), values.get(9, 0)) == pytest.approx((four, nine))
