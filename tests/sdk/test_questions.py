"""Single questions from the command line, by the real client to a server made of a function."""

import json
from argparse import ArgumentParser
from collections.abc import Callable

import pytest
from tests.sdk.conftest import FakeServer

from steersman import Client, FeatureEdit
from steersman.cli import Command
from steersman.terminal import questions


@pytest.fixture
def ask(
    monkeypatch: pytest.MonkeyPatch, client: Client, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """What a command prints for some arguments."""
    monkeypatch.setattr(questions, "Client", lambda url: client)

    def run(command: Command, *argv: str) -> str:
        parser = ArgumentParser()
        command.add_arguments(parser)
        command.run(parser.parse_args(argv))
        return capsys.readouterr().out

    return run


def test_a_search_lists_features(ask: Callable[..., str]) -> None:
    assert "pirates" in ask(questions.search, "pira")


def test_a_search_is_printed_as_json(ask: Callable[..., str]) -> None:
    assert [each["index"] for each in json.loads(ask(questions.search, "pira", "--json"))["data"]] == [1]


def test_a_feature_is_shown(ask: Callable[..., str]) -> None:
    assert "feature 1: pirates" in ask(questions.show, "1")


def test_what_is_to_be_explained_must_be_given(ask: Callable[..., str], server: FakeServer) -> None:
    with pytest.raises(ValueError, match="--answer"):
        ask(questions.attribute, "Hi")
    assert server.requests == []


def test_an_edit_is_written_as_a_feature_and_a_strength() -> None:
    assert questions.edit_of("885=-0.5") == FeatureEdit(885, -0.5)


@pytest.mark.parametrize("text", ["885", "x=1", "885=", "=1"])
def test_an_edit_that_is_written_otherwise_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="FEATURE=STRENGTH"):
        questions.edit_of(text)
