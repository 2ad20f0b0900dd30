"""`steersman serve`."""

import os
from argparse import ArgumentParser, Namespace

from steersman.cli import Command
from steersman_engine.commands import add_cache_argument
from steersman_engine.presets import DEFAULT_MODEL, PRESETS
from steersman_server.config import ServerConfig

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
    add_cache_argument(parser)


def _run(args: Namespace) -> None:
    from steersman_server.listen import serve  # heavy: not for --help

    config = ServerConfig(host=args.host, port=args.port, max_strength=args.max_strength)
    serve(args.model, args.bundle, config, device=args.device, dtype=args.dtype, cache=args.cache_dir)


command = Command(
    summary="serve a model to any OpenAI client",
    add_arguments=_add_arguments,
    run=_run,
    epilog="""\
examples:
  steersman serve
  steersman serve --host 0.0.0.0 --port 9000
  steersman serve --model llama-3-8b-instruct --bundle ./my-bundle --device cuda
""",
)
