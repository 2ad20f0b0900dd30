"""The soak in short: a tiny model, a few hundred requests, every fault once."""

import os
from typing import Any

import pytest
from tests.soak.run import Setup, soak
from tests.soak.soak import FAULTY
from tests.soak.tiny import write_tiny

pytestmark = pytest.mark.skipif("STEERSMAN_SLOW" not in os.environ, reason="slow: set STEERSMAN_SLOW=1")


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory, tiny_tokenizer) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("soak")
    model, bundle = write_tiny(folder, tiny_tokenizer)
    setup = Setup(
        ["--model", str(model), "--cache-dir", str(folder), "--slots", "4"],
        bundle,
        folder,
        per_round=60,
        minutes=0,
    )
    return soak(setup)


def test_every_request_is_answered_as_when_it_is_alone(found: dict[str, Any]) -> None:
    assert not [found[name] for name in FAULTY if found[name]], found["problems"]
    assert not found["answered otherwise at the end"], found["problems"]


def test_nothing_is_leaked(found: dict[str, Any]) -> None:
    assert found["leaked slots"] == 0
    assert found["threads gained"] <= 0 and found["files gained"] <= 0, found["rounds"]


def test_variants_survive_a_full_disk_and_a_kill(found: dict[str, Any]) -> None:
    assert found["variants changed"] and found["variants refused on a full disk"]
    assert not found["variants lost"] + found["other faults of variants"], found["problems"]


def test_the_log_holds_no_error_but_those_injected(found: dict[str, Any]) -> None:
    assert not found["unexplained errors in the log"], found["problems"]


def test_a_stop_is_no_failure(found: dict[str, Any]) -> None:
    assert found["exit code on SIGTERM"] == 0
