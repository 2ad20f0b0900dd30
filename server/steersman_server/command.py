"""`steersman serve`."""

import os
import signal
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import platformdirs

from steersman.cli import Command
from steersman_engine.commands import default_cache
from steersman_server.config import ServerConfig
from steersman_server.found import Found
from steersman_server.keys import read_keys
from steersman_server.notify import notify
from steersman_server.settings import PREFIX, add_flags, check_variables, read_settings, settings_of
from steersman_server.tracing import asks_for_traces

CONFIG, API_KEYS = f"{PREFIX}CONFIG", f"{PREFIX}API_KEYS"
OTHERS = {CONFIG, API_KEYS, f"{PREFIX}BASE_URL", f"{PREFIX}API_KEY"}
"""Variables that are no setting's: the last two are the clients'."""


def read_config(flags: Mapping[str, Any], environment: Mapping[str, str]) -> ServerConfig:
    """The configuration: flags, then the environment, then the file that these name, then defaults.

    Raises:
        ValueError: A setting is unknown, out of range, or contradicts another.
        OSError: A file cannot be read.
    """
    check_variables(environment, {setting.variable for setting in settings_of(ServerConfig)} | OTHERS)
    file = flags.get("config") or environment.get(CONFIG)
    values = read_settings(
        ServerConfig,
        flags=flags,
        environment=environment,
        file=Path(file) if file else None,
        defaults={
            "data_dir": platformdirs.user_data_path("steersman"),
            "cache_dir": default_cache(),
            "tracing": asks_for_traces(environment),
        },
    )
    keys = values.get("keys", ()) + read_keys(environment.get(API_KEYS, "").split(","))
    if path := values.get("api_key_file"):
        keys += read_keys(path.read_text(encoding="utf-8").splitlines())
    return ServerConfig(**values | {"keys": keys})


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--config",
        metavar="FILE",
        help=f"settings in TOML; flags and STEERSMAN_* variables go before them (default: ${CONFIG})",
    )
    parser.add_argument(
        "--check", action="store_true", help="look at all of this, say what is found, and exit"
    )
    add_flags(parser, ServerConfig)


def _run(args: Namespace) -> None:
    if args.check:
        _check(args)
        return
    config = read_config(vars(args), os.environ)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # process 1 of a container would not hear it
    from steersman_server.listen import serve  # heavy: not for --help

    sys.exit(serve(config, partial(notify, os.environ.get("NOTIFY_SOCKET"))))


def _check(args: Namespace) -> None:
    """Say what is found of everything, and exit with 1 if something will not do."""
    found: Iterable[Found]
    try:
        config = read_config(vars(args), os.environ)
    except (ValueError, OSError) as error:
        found = [Found("settings", "FAILED", line) for line in str(error).splitlines()]
    else:
        from steersman_server.checks import Checks  # heavy: not for --help

        found = Checks(config).all()
    failed = 0
    for each in found:
        print(each, flush=True)
        failed += each.status == "FAILED"
    if failed:
        sys.exit(f"{failed} of these will not do.")


command = Command(
    summary="serve a model to any OpenAI client",
    add_arguments=_add_arguments,
    run=_run,
    epilog="""\
Every setting is also a variable, STEERSMAN_MAX_STRENGTH for --max-strength, and a line of the TOML file.
API keys: --api-key-file, or STEERSMAN_API_KEYS in the environment, separated by commas.

examples:
  steersman serve
  steersman serve --host 0.0.0.0 --port 9000 --api-key-file keys.txt
  steersman serve --config server.toml --check
  steersman serve --model llama-3-8b-instruct --bundle ./my-bundle --device cuda
""",
)
