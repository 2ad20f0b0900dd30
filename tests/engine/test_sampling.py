"""Choosing tokens, against distributions and formulas worked out by hand."""

import math
from collections import Counter
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from steersman_engine.engine import Sampling
from steersman_engine.sampling import SHORTLIST, Sampler, choose, keep_likely

CPU = torch.device("cpu")


def sampler(prompt: tuple[int, ...] = (), answer: tuple[int, ...] = (), **options: Any) -> Sampler:
    made = Sampler.of(Sampling(**options), options.get("seed") or 0, prompt, 5, CPU)
    for token in answer:
        made.took(token)
    return made


def adjusted(logits: list[float], made: Sampler, allowed: Tensor | None = None) -> list[float]:
    row = torch.tensor(logits)
    made.adjust(row, allowed)
    return row.tolist()


def kept(probabilities: list[float], **options: Any) -> list[float]:
    rows = torch.tensor([probabilities])
    keep_likely(rows, [Sampling(**options)])
    return [round(p, 6) for p in rows[0].tolist()]


def test_temperature_zero_takes_the_likeliest() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0, 0.0, 0.0], [5.0, 3.0, 2.0, 0.0, 0.0]])
    assert choose(logits, [sampler(temperature=0), sampler(temperature=0)]).tolist() == [1, 0]


def test_greedy_and_sampled_rows_share_a_batch() -> None:
    logits = torch.tensor([[1.0, 3.0, 2.0, 0.0, 0.0]] * 3)
    alone = [int(choose(logits[:1], [sampler(seed=seed)])) for seed in (1, 2)]
    mixed = choose(logits, [sampler(seed=1), sampler(temperature=0), sampler(seed=2)]).tolist()
    assert mixed == [alone[0], 1, alone[1]]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_tokens_come_as_often_as_their_probability_says(temperature: float) -> None:
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0, 0.5])
    made = sampler(temperature=temperature, seed=3)
    count: Counter[int] = Counter()
    for _ in range(4000):
        token = int(choose(logits[None], [made]))
        made.took(token)
        count[token] += 1
    expected = torch.softmax(logits / temperature, -1)
    for token, probability in enumerate(expected.tolist()):
        spread = math.sqrt(probability * (1 - probability) / 4000)
        assert abs(count[token] / 4000 - probability) < 4 * spread


def test_top_p_keeps_the_likeliest_that_reach_it() -> None:
    assert kept([0.1, 0.4, 0.3, 0.15, 0.05], top_p=0.6) == [0, 0.4, 0.3, 0, 0]
    assert kept([0.1, 0.4, 0.3, 0.15, 0.05], top_p=0.71) == [0, 0.4, 0.3, 0.15, 0]
    assert kept([0.1, 0.4, 0.3, 0.15, 0.05], top_p=0.0) == [0, 0.4, 0, 0, 0]


def test_top_k_keeps_so_many() -> None:
    assert kept([0.1, 0.4, 0.3, 0.15, 0.05], top_k=2) == [0, 0.4, 0.3, 0, 0]


def test_top_p_counts_within_top_k() -> None:
    # of 0.4 and 0.3, which are 4/7 and 3/7 of what top_k leaves
    assert kept([0.1, 0.4, 0.3, 0.15, 0.05], top_k=2, top_p=0.55) == [0, 0.4, 0, 0, 0]
    assert kept([0.1, 0.4, 0.3, 0.15, 0.05], top_k=2, top_p=0.6) == [0, 0.4, 0.3, 0, 0]


def test_min_p_is_in_units_of_the_likeliest() -> None:
    assert kept([0.1, 0.4, 0.3, 0.15, 0.05], min_p=0.3) == [0, 0.4, 0.3, 0.15, 0]


@given(st.floats(0.01, 1.0), st.none() | st.integers(1, 2 * SHORTLIST), st.integers(0, 100))
def test_a_shortlist_keeps_what_sorting_everything_keeps(top_p: float, top_k: int | None, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(4 * SHORTLIST, generator=generator) * (seed % 4 + 0.1)  # flat to peaked
    probabilities = torch.softmax(logits.double(), -1)
    found = probabilities[None].clone()
    keep_likely(found, [Sampling(top_p=top_p, top_k=top_k)])
    order = probabilities.argsort(descending=True)[:top_k].tolist()
    total, before, expected = float(probabilities[order].sum()), 0.0, set()
    for token in order:
        if before < top_p * total - 1e-12 or not expected:
            expected.add(token)
        before += float(probabilities[token])
    assert len(expected ^ set(found[0].nonzero()[:, 0].tolist())) <= 1  # the boundary may round


def test_presence_and_frequency_penalties_are_openai_s() -> None:
    made = sampler(prompt=(0,), answer=(1, 1, 2), presence_penalty=0.5, frequency_penalty=0.25)
    assert adjusted([1.0, 1.0, 1.0, 1.0, 1.0], made) == [1.0, 1 - 2 * 0.25 - 0.5, 1 - 0.25 - 0.5, 1.0, 1.0]


def test_the_repetition_penalty_counts_the_prompt_too() -> None:
    made = sampler(prompt=(0,), answer=(1,), repetition_penalty=2.0)
    assert adjusted([3.0, -3.0, 3.0, -3.0, 0.0], made) == [1.5, -6.0, 3.0, -3.0, 0.0]


def test_a_bias_is_added() -> None:
    assert adjusted([1.0, 1.0, 1.0, 1.0, 1.0], sampler(logit_bias={1: -100, 4: 2.5})) == [1, -99, 1, 1, 3.5]


def test_a_mask_bars_the_rest_and_what_lies_beyond_its_end() -> None:
    allowed = torch.tensor([False, True, True])
    barred = float("-inf")
    assert adjusted([1.0, 2.0, 3.0, 4.0, 5.0], sampler(), allowed) == [barred, 2, 3, barred, barred]


def test_a_mask_that_allows_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="allows no token"):
        adjusted([1.0] * 5, sampler(), torch.zeros(5, dtype=torch.bool))


def test_a_draw_depends_on_seed_and_place_alone() -> None:
    first, second = sampler(seed=1, answer=(3,)), sampler(seed=1, answer=(4,))
    assert first.uniform() == second.uniform() != sampler(seed=1).uniform()
    assert 0 <= first.uniform() < 1
