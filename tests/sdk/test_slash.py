import re

import pytest

from steersman import FeatureEdit
from steersman.terminal.slash import HELP, Attribute, Explain, Line, Say, Search, Show, Steer, Unsteer, parse


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("hello /there \n", Say("hello /there")),
        ("//etc is a folder", Say("/etc is a folder")),
        ("  \n", None),
        ("/steer 12 0.6", Steer(FeatureEdit(12, 0.6, "set"))),
        ("/steer 12 -1 add", Steer(FeatureEdit(12, -1.0, "add"))),
        ("/steer 12 0 scale", Steer(FeatureEdit(12, 0.0, "scale"))),
        ("/unsteer 12", Unsteer(12)),
        ("/search  talk like a  pirate", Search("talk like a pirate")),
        ("/show 0", Show(0)),
        ("/why", Explain(None)),
        ("/why 3", Explain(3)),
        ("/why on", Attribute(True)),
        ("/why off", Attribute(False)),
        ("/edits", "edits"),
        ("/quit", "quit"),
    ],
)
def test_a_line_is_understood(line: str, meant: Line | None) -> None:
    assert parse(line) == meant


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/", "There is no /;"),
        ("/stear 1 1", "There is no /stear; /help"),
        ("/steer 12", "/steer FEATURE STRENGTH [set|add|scale]"),
        ("/steer x 1", "'x' is no index"),
        ("/steer -1 1", "'-1' is no index"),
        ("/steer 1 strong", "Strength 'strong'"),
        ("/steer 1 nan", "Strength 'nan'"),
        ("/steer 1 1 multiply", "Mode 'multiply': give set, add or scale"),
        ("/search", "/search WORDS"),
        ("/why not", "'not' is no index"),
        ("/clear all", "/clear stands alone"),
    ],
)
def test_a_mistake_is_answered_with_the_remedy(line: str, told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        parse(line)


def test_help_names_only_commands_that_there_are() -> None:
    for name in set(re.findall(r"(?<!/)/([a-z]+)", HELP)):
        try:
            parse(f"/{name}")
        except ValueError as error:
            assert "There is no" not in str(error)
