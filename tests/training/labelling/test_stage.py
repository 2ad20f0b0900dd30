"""A step's folder: what is made once stays, what was interrupted goes on."""

import os
import signal
from pathlib import Path

import pytest

from steersman_training.labelling.stage import Stage, packed


def made(stage: Stage) -> list[int]:
    return list(stage.make(lambda number: packed(number * 7)))


def test_a_second_run_makes_nothing(tmp_path: Path) -> None:
    assert made(Stage(tmp_path, "count", 3, {"a": 1})) == [0, 1, 2]
    assert made(Stage(tmp_path, "count", 3, {"a": 1})) == []


def test_other_inputs_are_another_folder(tmp_path: Path) -> None:
    first, second = Stage(tmp_path, "count", 3, {"a": 1}), Stage(tmp_path, "count", 3, {"a": 2})
    made(first)
    assert second.missing() == [0, 1, 2]


@pytest.mark.parametrize("dies_at", [0, 1, 2])
def test_killed_while_it_writes_it_goes_on_there(tmp_path: Path, dies_at: int) -> None:
    child = os.fork()
    if child == 0:
        stage = Stage(tmp_path, "count", 3, {})

        def part(number: int) -> bytes:
            if number == dies_at:
                stage.path(number).with_name("part-00009.1.tmp").write_bytes(b"half")
                os.kill(os.getpid(), signal.SIGKILL)
            return packed(number * 7)

        list(stage.make(part))
    os.waitpid(child, 0)
    stage = Stage(tmp_path, "count", 3, {})
    assert stage.missing() == list(range(dies_at, 3))
    made(stage)
    assert list(stage.read_all(int)) == [0, 7, 14]
