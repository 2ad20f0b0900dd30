import subprocess
import sys
from argparse import Namespace
from importlib.metadata import EntryPoint

import pytest

import steersman
from steersman import cli
from steersman.cli import GROUP, Command, main


def run_greet(args: Namespace) -> None:
    if args.name == "missing":
        raise ModuleNotFoundError("No module named 'torch'", name="torch")
    if args.name == "nobody":
        raise ValueError("Nobody is there: give another name.")
    if args.name == "offline":
        raise steersman.APIConnectionError("No answer.")
    if args.name == "stopped":
        raise KeyboardInterrupt
    print("hello", args.name)


GREET = Command(
    "say hello", lambda parser: parser.add_argument("name") and None, run_greet, "examples:\n  one"
)


def entry(name: str, value: str) -> EntryPoint:
    return EntryPoint(name=name, value=value, group=GROUP)


@pytest.fixture(autouse=True)
def commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """`greet` works; `train` and `serve` are in packages that lack what they import."""
    monkeypatch.setattr(EntryPoint, "load", _load)
    found = [
        entry("greet", "steersman_training:greet"),
        entry("train", "steersman_training.train:command"),
        entry("serve", "steersman_server.serve:command"),
        entry("other", "elsewhere:command"),
    ]
    monkeypatch.setattr(cli, "entry_points", lambda group: found if group == GROUP else [])


def _load(entry: EntryPoint) -> Command:
    if entry.name == "greet":
        return GREET
    raise ModuleNotFoundError("No module named 'torch'", name="torch")


def test_help_lists_the_commands_with_their_summaries(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    assert "\n  greet  say hello\n" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "extra"), [("serve", "server"), ("train", "training")])
def test_help_says_how_to_install_what_a_command_lacks(
    capsys: pytest.CaptureFixture[str], name: str, extra: str
) -> None:
    main([])
    assert f"\n  {name}  (needs pip install 'steersman[{extra}]')\n" in capsys.readouterr().out


def test_a_command_of_another_package_that_does_not_load_is_listed(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main([])
    assert "\n  other  (does not load: No module named 'torch')\n" in capsys.readouterr().out


def test_a_command_gets_the_rest_of_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    main(["greet", "Ada"])
    assert capsys.readouterr().out == "hello Ada\n"


def test_help_of_a_command_shows_its_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["greet", "--help"])
    assert "examples:\n  one" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["greet", "nobody"], "Nobody is there: give another name."),
        (["greet", "offline"], "No answer."),
        (["greet", "missing"], "greet needs torch: pip install 'steersman[training]'"),
        (["serve"], "serve needs torch: pip install 'steersman[server]'"),
        (["gret"], "There is no command 'gret'. Did you mean 'greet'? `steersman --help` lists them."),
        (["xyz"], "There is no command 'xyz'. `steersman --help` lists them."),
    ],
)
def test_a_mistake_is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], argv: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    assert caught.value.code == 1
    assert capsys.readouterr().err == f"steersman: {message}\n"


def test_ctrl_c_leaves_without_a_traceback() -> None:
    with pytest.raises(SystemExit) as caught:
        main(["greet", "stopped"])
    assert caught.value.code == 130


def test_the_module_runs_as_the_command_does() -> None:
    shown = subprocess.run([sys.executable, "-m", "steersman", "--version"], capture_output=True, text=True)
    assert shown.stdout == f"steersman {steersman.__version__}\n"
