"""The statistics against scipy, brute force and numbers known by hand."""

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from steersman_training.labelling.labels import Label
from steersman_training.labelling.protocols import LabelDraft
from steersman_training.labelling.scoring import Score
from steersman_training.labelling.statistics import (
    above_chance,
    auc,
    auc_interval,
    d_prime,
    shrunken,
    wilson,
)
from steersman_training.labelling.summary import ratings_of


@pytest.mark.parametrize(("k", "n"), [(0, 10), (6, 10), (10, 10), (37, 50)])
def test_wilson_is_scipys(k: int, n: int) -> None:
    expected = binomtest(k, n).proportion_ci(method="wilson")
    assert wilson(k, n) == pytest.approx((expected.low, expected.high))


def test_nothing_asked_leaves_the_whole_range() -> None:
    assert wilson(0, 0) == (0, 1)


def test_auc_counts_pairs_and_ties_half() -> None:
    assert auc(np.array([1.0, 2.0, 3.0]), np.array([0.0, 2.0])) == pytest.approx(
        (1 + 0 + 1 + 0.5 + 1 + 1) / 6
    )


def test_an_auc_bootstrap_holds_the_area() -> None:
    random = np.random.default_rng(0)
    positive = np.arange(60) % 2 == 0
    score = random.normal(size=60) + positive
    low, high = auc_interval(score, positive, np.arange(60) // 3, (0,))
    assert low < auc(score[positive], score[~positive]) < high


@pytest.mark.parametrize("d", [0.5, 1.0, 2.0])
def test_d_prime_of_two_choices_is_the_textbooks(d: float) -> None:
    assert d_prime(float(norm.cdf(d / np.sqrt(2))), 2) == pytest.approx(d, abs=0.01)


def test_d_prime_of_four_choices_is_that_of_simulated_judges() -> None:
    draws = np.random.default_rng(0).normal(size=(200_000, 4))
    draws[:, 0] += 1.5
    assert d_prime(float((draws.argmax(axis=1) == 0).mean()), 4) == pytest.approx(1.5, abs=0.02)


def test_false_discoveries_stay_below_the_rate() -> None:
    luck = np.random.default_rng(0).binomial(20, 0.5, 5000)
    assert above_chance(luck, np.full(5000, 20), 0.5).mean() < 0.001


def test_what_is_surely_above_chance_is_found_among_luck() -> None:
    right = np.concatenate([np.full(500, 20), np.random.default_rng(0).binomial(20, 0.5, 500)])
    found = above_chance(right, np.full(1000, 20), 0.5)
    assert found[:500].all()
    assert found[500:].mean() < 0.1


def score(judge: str, feature: int, right: int) -> Score:
    return Score(
        feature=feature, label=f"{feature}.0", test="contrastive", measure="share", judge=judge, split="test",
        asked=20, failures=0, right=right, value=right / 20, low=0.0, high=1.0, chance=0.5, d_prime=None,
    )  # fmt: skip


def test_a_label_is_trusted_if_one_judge_can_tell_with_it_and_by_luck_no_more_often() -> None:
    draft = LabelDraft(text="x", kind="topic", confidence="mid")
    labels = [Label(id=f"{f}.0", feature=f, draft=draft, explainer="", version="") for f in range(20)]
    luck = [score(judge, feature, 11) for judge in ("a", "b") for feature in range(1, 20)]
    sure = [score("a", 0, 10), score("b", 0, 20)]
    ratings = ratings_of([*sure, *luck], labels, range(20), "a")
    assert [rating.feature for rating in ratings if rating.trusted] == [0]
    assert ratings[0].q_value == pytest.approx(2 * 0.5**20 * 20)


def test_shrinking_draws_few_answers_further_than_many() -> None:
    right, asked = np.array([2, 20, 15, 16, 14, 15]), np.array([2, 20, 20, 20, 20, 20])
    few, many = shrunken(right, asked)[:2]
    assert few < many < 1
