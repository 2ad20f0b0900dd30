"""`steersman chat`: talk to a model, and steer it, in a terminal."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager

from steersman.calls import ChatOptions
from steersman.cli import Command
from steersman.client import Client
from steersman.connection import DEFAULT_BASE_URL
from steersman.errors import APIConnectionError, APIStatusError, ResponseError
from steersman.terminal.chat import TerminalChat, typed_lines
from steersman.terminal.local_server import LocalServer, running_server, wait_until_ready
from steersman.terminal.render import Style
from steersman.types import Health

PROBE_TIMEOUT_S = 10.0


def add_arguments(parser: ArgumentParser) -> None:
    """What `steersman chat` takes."""
    parser.add_argument(
        "--url",
        help=f"the server; $STEERSMAN_BASE_URL if left out, else {DEFAULT_BASE_URL}, and if nothing "
        "answers there, one is started for as long as the chat lasts",
    )
    parser.add_argument("--model", help="a variant of the server's model, as MODEL:VARIANT")
    parser.add_argument("--system", metavar="TEXT", help="a system message to begin with")
    parser.add_argument(
        "--temperature", type=float, metavar="T", help="0 to 2; 0 is greedy; the server's default is 1"
    )
    parser.add_argument("--max-tokens", type=int, metavar="N", help="the longest answer")
    parser.add_argument("--seed", type=int, help="makes answers repeatable")


def run(args: Namespace) -> None:
    """Chat until the input ends."""
    with ExitStack() as stack:
        url, health = connect(args.url or os.environ.get("STEERSMAN_BASE_URL"), stack)
        client = stack.enter_context(Client(url))
        interactive = sys.stdin.isatty()
        chat = TerminalChat(
            client,
            chat_options(args),
            system=args.system,
            out=sys.stdout,
            errors=sys.stderr,
            style=Style(sys.stdout.isatty() and not os.environ.get("NO_COLOR")),
            interactive=interactive,
        )
        if interactive:
            print(f"{health.model}, steered by {health.bundle}. /help lists the commands.")
        chat.run(typed_lines() if interactive else sys.stdin)


def chat_options(args: Namespace) -> ChatOptions:
    """The options that were given; the server's defaults hold for the others."""
    options: ChatOptions = {}
    if args.model is not None:
        options["model"] = args.model
    if args.temperature is not None:
        options["temperature"] = args.temperature
    if args.max_tokens is not None:
        options["max_tokens"] = args.max_tokens
    if args.seed is not None:
        options["seed"] = args.seed
    return options


def connect(url: str | None, stack: ExitStack) -> tuple[str, Health]:
    """The address of a server that is ready: the one at `url`, or this machine's, or a new one in `stack`."""
    try:
        return _ready(url or DEFAULT_BASE_URL, None)
    except APIConnectionError:
        if url is not None:
            raise
    except (APIStatusError, ResponseError) as error:
        where = url or DEFAULT_BASE_URL
        raise ValueError(f"{where} does not answer as a steersman server; is --url right? {error}") from error
    print(f"Nothing answers at {DEFAULT_BASE_URL}: starting a server for this chat.", file=sys.stderr)
    server = stack.enter_context(running_server())
    return _ready(server.url, server)


def _ready(url: str, server: LocalServer | None) -> tuple[str, Health]:
    with Client(url, max_retries=0, timeout=PROBE_TIMEOUT_S) as probe, _waiting() as tick:
        return probe.base_url, wait_until_ready(probe, server, tick)


@contextmanager
def _waiting() -> Generator[Callable[[float], None], None, None]:
    """Something to call with the seconds waited so far, which a person at a terminal then sees."""
    shown = False

    def tick(seconds: float) -> None:
        nonlocal shown
        if sys.stderr.isatty():
            print(f"\rLoading the model … {seconds:.0f} s ", end="", file=sys.stderr, flush=True)
            shown = True

    try:
        yield tick
    finally:
        if shown:
            print(file=sys.stderr)


command = Command(
    summary="talk to a model in the terminal, and steer it",
    add_arguments=add_arguments,
    run=run,
    epilog="""examples:
  steersman chat
  steersman chat --url http://127.0.0.1:8000 --system "You are brief." --temperature 0
  printf '/steer 12 0.6\\nWho are you?\\n' | steersman chat --seed 1""",
)
