"""The `steersman` command: it finds its subcommands among the installed entry points."""

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points

import steersman
from steersman.errors import SteersmanError

GROUP = "steersman.commands"
EXTRAS = {
    "steersman_catalog": "server",
    "steersman_engine": "server",
    "steersman_server": "server",
    "steersman_training": "training",
}
"""Which extra brings what each package needs."""


@dataclass(frozen=True)
class Command:
    """A subcommand; an entry point of group `steersman.commands` names one.

    The module that holds it imports nothing heavy, so that `--help` is instant.
    """

    summary: str
    """Its line in `steersman --help`."""
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], None]
    """Raises ValueError or OSError for what the user can mend."""
    epilog: str = ""
    """Shown under its own help: examples."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line `argv`, by default the process's own."""
    try:
        run(sys.argv[1:] if argv is None else argv)
    except (ValueError, OSError, SteersmanError) as error:
        _fail(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def run(argv: Sequence[str]) -> None:
    """Load the command that `argv` begins with and run it on the rest."""
    commands = {entry.name: entry for entry in entry_points(group=GROUP)}
    parser = ArgumentParser(
        prog="steersman",
        usage="steersman COMMAND ... | --help | --version",
        description="See and steer the features of a chat model.",
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"steersman {steersman.__version__}")
    parser.add_argument("command", metavar="COMMAND", nargs="?", help="one of those below")
    if argv[:1] in ([], ["-h"], ["--help"]):
        parser.epilog = _listing(commands)
    name = parser.parse_args(argv[:1]).command
    if name is None:
        parser.print_help()
        return
    if name not in commands:
        raise ValueError(_unknown(name, commands))
    try:
        _run_command(commands[name], argv[1:])
    except ModuleNotFoundError as error:
        extra = _missing_extra(error, commands[name])
        if extra is None:
            raise
        raise ValueError(f"{name} needs {error.name}: pip install 'steersman[{extra}]'") from error


def _run_command(entry: EntryPoint, argv: Sequence[str]) -> None:
    command: Command = entry.load()
    parser = ArgumentParser(
        prog=f"steersman {entry.name}",
        description=command.summary,
        epilog=command.epilog,
        formatter_class=RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    command.run(parser.parse_args(argv))


def _listing(commands: dict[str, EntryPoint]) -> str:
    width = max(map(len, commands), default=0)
    lines = [f"  {name:{width}}  {_summary(commands[name])}" for name in sorted(commands)]
    return "\n".join(["commands:", *lines, "", "`steersman COMMAND --help` says more."])


def _summary(entry: EntryPoint) -> str:
    try:
        return entry.load().summary
    except (ImportError, AttributeError) as error:
        extra = _missing_extra(error, entry)
        return f"(needs pip install 'steersman[{extra}]')" if extra else f"(does not load: {error})"


def _missing_extra(error: Exception, entry: EntryPoint) -> str | None:
    """The extra whose absence explains `error`, or None if it has another cause."""
    if not isinstance(error, ModuleNotFoundError) or (error.name or "").startswith("steersman"):
        return None
    return EXTRAS.get(entry.module.partition(".")[0])


def _unknown(name: str, commands: dict[str, EntryPoint]) -> str:
    near = get_close_matches(name, commands, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"There is no command {name!r}.{hint} `steersman --help` lists them."


def _fail(message: str) -> None:
    print(f"steersman: {message}", file=sys.stderr)
    sys.exit(1)
