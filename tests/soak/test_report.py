"""What a soak is failed for."""

from typing import Any

import pytest
from tests.soak.report import FEW, NONE, SOME, _outcomes, failures

GOOD: dict[str, Any] = {
    **dict.fromkeys(NONE, 0),
    **dict.fromkeys(SOME, 1),
    **FEW,
    "exit code on SIGTERM": 0,
    "early memory, MiB": 1000.0,
    "memory gained, MiB": 40.0,
}


def test_nothing_wrong_is_no_failure() -> None:
    assert failures(GOOD) == []


@pytest.mark.parametrize("name", NONE)
def test_what_must_not_be_is_a_failure(name: str) -> None:
    assert failures(GOOD | {name: 2}) == [f"{name}: 2, not 0"]


@pytest.mark.parametrize("name", SOME)
def test_a_fault_that_reached_nobody_is_a_failure(name: str) -> None:
    assert failures(GOOD | {name: 0}) == [f"{name}: 0, not > 0"]


@pytest.mark.parametrize("name", FEW)
def test_more_than_a_few_are_a_failure(name: str) -> None:
    assert failures(GOOD | {name: FEW[name] + 1})


def test_memory_that_grows_is_a_failure() -> None:
    assert failures(GOOD | {"memory gained, MiB": 60.0}) == ["memory gained, MiB: 60.0, not ≤ 5%"]


def test_a_stop_that_ends_as_a_failure_is_one() -> None:
    assert failures(GOOD | {"exit code on SIGTERM": -15}) == ["exit code on SIGTERM: -15, not 0"]


def test_outcomes_have_a_row_for_each_kind_and_a_column_for_what_came_of_it() -> None:
    table = _outcomes([("bad", "refused", 3), ("plain", "answered", 1200), ("plain", "lost", 1)])
    assert table.columns == ["kind of request", "answered", "refused", "lost"]
    assert table.rows == [["bad", "–", "3", "–"], ["plain", "1,200", "–", "1"]]
