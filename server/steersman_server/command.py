"""`steersman serve`."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

import platformdirs

from steersman.cli import Command
from steersman_engine.commands import add_cache_argument
from steersman_engine.presets import DEFAULT_MODEL, PRESETS
from steersman_server.config import ServerConfig
from steersman_server.keys import is_loopback, read_keys

DEFAULTS = ServerConfig()


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help=f"{', '.join(PRESETS)}, a Hugging Face id or a folder (default: %(default)s)",
    )
    parser.add_argument("--bundle", help="a bundle that ships, or a folder (default: the model's own)")
    parser.add_argument(
        "--host",
        default=os.environ.get("HOST", DEFAULTS.host),
        help="address to listen on (default: $HOST, or 127.0.0.1)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=os.environ.get("PORT", DEFAULTS.port),
        help="port to listen on, 0 for a free one (default: $PORT, or 8000)",
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: %(default)s)")
    parser.add_argument(
        "--dtype", default="auto", choices=["auto", "float32", "bfloat16", "float16"], help="of the weights"
    )
    parser.add_argument(
        "--max-strength",
        type=float,
        default=DEFAULTS.max_strength,
        help="the strongest edit allowed, in units of h_max (default: %(default)s)",
    )
    parser.add_argument(
        "--api-key-file",
        type=Path,
        metavar="FILE",
        help="keys to ask for, one a line, as they are or as sha256:HEX"
        " (default: those in $STEERSMAN_API_KEYS, separated by commas)",
    )
    parser.add_argument("--no-auth", action="store_true", help="answer anybody who can reach the port")
    parser.add_argument(
        "--allow-host",
        action="append",
        default=[],
        metavar="NAME",
        help="another name that requests may use for this server; may be given several times",
    )
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=os.environ.get("STEERSMAN_DATA") or platformdirs.user_data_path("steersman"),
        metavar="DIR",
        help="where variants are kept (default: $STEERSMAN_DATA, or %(default)s)",
    )
    add_cache_argument(parser)


def _run(args: Namespace) -> None:
    from steersman_server.listen import serve  # heavy: not for --help

    config = ServerConfig(
        host=args.host,
        port=args.port,
        api_keys=_keys(args),
        allowed_hosts=_hosts(args),
        variants=args.data_dir / "variants.sqlite",
        max_strength=args.max_strength,
    )
    serve(args.model, args.bundle, config, device=args.device, dtype=args.dtype, cache=args.cache_dir)


def _keys(args: Namespace) -> frozenset[bytes]:
    """The keys to ask for.

    Raises:
        ValueError: There are none, and others than this machine could ask.
        OSError: The file cannot be read.
    """
    if args.no_auth:
        return frozenset()
    if args.api_key_file is not None:
        keys = read_keys(args.api_key_file.read_text(encoding="utf-8").splitlines())
    else:
        keys = read_keys(os.environ.get("STEERSMAN_API_KEYS", "").split(","))
    if not keys and not is_loopback(args.host):
        raise ValueError(
            f"Others can reach {args.host}: give API keys (--api-key-file, or STEERSMAN_API_KEYS in the"
            " environment), or say --no-auth."
        )
    return keys


def _hosts(args: Namespace) -> frozenset[str] | None:
    """The names that requests may use; on this machine only, no others than its own."""
    named = frozenset(name.lower() for name in args.allow_host)
    if is_loopback(args.host):
        return named | {"localhost", "127.0.0.1", "::1", args.host}
    return named or None


command = Command(
    summary="serve a model to any OpenAI client",
    add_arguments=_add_arguments,
    run=_run,
    epilog="""\
examples:
  steersman serve
  steersman serve --host 0.0.0.0 --port 9000 --api-key-file keys.txt
  steersman serve --model llama-3-8b-instruct --bundle ./my-bundle --device cuda
""",
)
