"""What requests share of their prompts, and what they must not."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.conftest import MakeEngine
from tests.engine.tools import NO_SINKS, Answer, ask, ask_all, prompt_of, reference, request

from steersman_engine.conditions import Comparison
from steersman_engine.edits import AffineEdit
from steersman_engine.engine import GenerateRequest
from steersman_engine.host import HostModel
from steersman_engine.local_engine import EngineConfig, LocalEngine
from steersman_engine.sae import SAE
from steersman_engine.steering import Steering

IDS = (1, *range(30, 70))
PUSH = (AffineEdit(4, 0, 60.0),)


def shared(engine: LocalEngine, asked: GenerateRequest) -> tuple[Answer, int, int]:
    """The answer, and how many prompt tokens were reused whole, and up to the tap alone."""
    before = engine.stats()
    answer = ask(engine, asked)
    after = engine.stats()
    return (
        answer,
        after.reused_tokens_total - before.reused_tokens_total,
        after.half_reused_tokens_total - before.half_reused_tokens_total,
    )


def test_the_same_prompt_is_computed_once(engine: LocalEngine) -> None:
    first, *none = shared(engine, request(prompt=prompt_of(*IDS)))
    again, *most = shared(engine, request(prompt=prompt_of(*IDS)))
    assert (none, most) == ([0, 0], [len(IDS) - 1, 0])
    assert again.tokens == first.tokens


def test_steered_and_plain_requests_never_share_above_the_tap(
    engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    plain, steered = request(prompt=prompt_of(*IDS)), request(prompt=prompt_of(*IDS), edits=PUSH)
    for asked in (plain, steered, plain):
        answer, whole, _ = shared(engine, asked)
        assert answer.tokens == reference(tiny_host, tiny_sae, asked)
        assert whole == 0 or asked is plain


def test_up_to_the_tap_a_prompt_is_shared_whatever_the_edits(
    engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    ask(engine, request(prompt=prompt_of(*IDS)))
    steered = request(prompt=prompt_of(*IDS), edits=PUSH)
    answer, whole, half = shared(engine, steered)
    assert (whole, half) == (0, len(IDS) - 1)
    assert answer.tokens == reference(tiny_host, tiny_sae, steered)
    assert answer.last.reports[0].tokens_edited == len(IDS) + 11


def test_equal_edits_share_whole_prompts_however_they_are_written(engine: LocalEngine) -> None:
    ask(engine, request(prompt=prompt_of(*IDS), edits=(AffineEdit(4, 1, 5.0), AffineEdit(9, 0, 3.0))))
    other = (AffineEdit(9, 0, 3.0), AffineEdit(4, 1, 2.0), AffineEdit(4, 1, 3.0))
    _, whole, half = shared(engine, request(prompt=prompt_of(*IDS), edits=other))
    assert (whole, half) == (len(IDS) - 1, 0)


def test_a_sweep_reads_its_prompt_once_though_all_come_together(
    make_engine: MakeEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    engine = make_engine(EngineConfig(num_slots=4, chunk_beside=8, chunk_alone=16))
    sweep = [
        request(prompt=prompt_of(*IDS), edits=(AffineEdit(4, 0, 12.0 * step),) if step else ())
        for step in range(4)
    ]
    found = ask_all(engine, sweep)
    assert [one.tokens for one in found] == [reference(tiny_host, tiny_sae, one) for one in sweep]
    stats = engine.stats()
    assert stats.half_reused_tokens_total == 3 * (len(IDS) - 1)


def test_a_conversation_continues_where_it_ended(
    engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    first = ask(engine, request(prompt=prompt_of(*IDS), edits=PUSH))
    longer = request(prompt=prompt_of(*IDS, *first.tokens, 77, 78), edits=PUSH)
    answer, whole, half = shared(engine, longer)
    assert (whole, half) == (len(IDS) + 11, 0)  # the last token of the answer was never read
    assert answer.tokens == reference(tiny_host, tiny_sae, longer)


def test_an_answer_steered_while_it_was_written_is_not_reused_as_a_plain_prompt(
    engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    later = (AffineEdit(4, 0, 60.0, in_prompt=False),)
    first = ask(engine, request(prompt=prompt_of(*IDS), edits=later))
    second = request(prompt=prompt_of(*IDS, *first.tokens, 77), edits=later)
    answer, whole, half = shared(engine, second)
    assert (whole, half) == (len(IDS), 11)
    assert answer.tokens == reference(tiny_host, tiny_sae, second)


def test_roles_and_conditions_are_part_of_the_key(tiny_sae: SAE) -> None:
    def keys(*edits: AffineEdit) -> list[int]:
        steering = Steering.of(edits, prompt_of(5, 6, 7, roles=(0, 1, 1)), tiny_sae, NO_SINKS)
        assert steering is not None
        return [*steering.prompt_keys.tolist(), steering.answer_key]

    everywhere = keys(AffineEdit(4, 0, 1.0))
    assert len(set(everywhere)) == 1 and everywhere[0] != 0
    of_user = keys(AffineEdit(4, 0, 1.0, in_generation=False, roles=(1,)))
    assert of_user == [0, everywhere[0], everywhere[0], 0]
    assert keys(AffineEdit(4, 0, 1.0, when=Comparison(3, ">", 0.0)))[0] not in (0, everywhere[0])
    assert keys(AffineEdit(4, 0, 2.0))[0] != everywhere[0]


def test_reports_are_the_same_whether_a_prompt_is_reused_or_not(engine: LocalEngine) -> None:
    asked = request(prompt=prompt_of(*IDS), edits=(AffineEdit(4, 1, 3.0),))
    first, again = ask(engine, asked).last.reports[0], ask(engine, asked).last.reports[0]
    assert again.tokens_edited == first.tokens_edited
    assert again.activation_sum == pytest.approx(first.activation_sum, rel=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.lists(st.integers(1, 2), min_size=2, max_size=9), st.booleans()), max_size=12))
def test_slots_never_claim_what_they_do_not_hold(sequences: list[tuple[list[int], bool]]) -> None:
    """Against memory whose cells say which tokens, under which edits, they were made of."""
    from steersman_engine.kv import KVCache
    from steersman_engine.slots import Slots

    cache = KVCache(
        num_layers=2, tap=0, num_slots=2, positions=16, kv_heads=1, head_dim=1, d_model=1,
        dtype=torch.float64, device=torch.device("cpu"),
    )  # fmt: skip
    slots = Slots(cache)
    for ids, steered in sequences:
        tokens = np.array(ids)
        keys = np.full(len(ids), 7 if steered else 0, np.uint64)
        made_of = [hash(tuple(ids[: i + 1])) % 2**40 for i in range(len(ids))]
        index = slots.acquire(object(), tokens, keys)
        assert index is not None
        slots.catch_up(index)
        slot = slots[index]
        assert slot.upper <= slot.lower < len(ids)
        for position in range(len(ids)):
            lower = cache.keys[0][index, 0, position, 0]
            upper = cache.keys[1][index, 0, position, 0]
            if position < slot.lower:
                assert lower == made_of[position] and cache.taps[index, position] == made_of[position]
            if position < slot.upper:
                assert upper == made_of[position] + steered
            lower.fill_(made_of[position])
            upper.fill_(made_of[position] + steered)
            cache.taps[index, position] = made_of[position]
        slot.lower = slot.upper = len(ids)
        slots.release(index)
