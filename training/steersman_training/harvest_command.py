"""`steersman harvest`: run chats through a model and keep what layers compute."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from steersman.cli import Command
from steersman_training.model_arguments import add_model_arguments, add_source_argument, open_host


def _add_harvest_arguments(parser: ArgumentParser) -> None:
    add_model_arguments(parser)
    add_source_argument(parser)
    parser.add_argument(
        "--tokens", type=int, default=3_000_000, help="stop after about so many (default: %(default)s)"
    )
    parser.add_argument("--max-length", type=int, default=512, help="cut conversations after so many tokens")
    parser.add_argument("--seed", type=int, default=0, help="fixes the order of the conversations")
    parser.add_argument("--out", type=Path, required=True, help="folder to fill, or to go on filling")


def _harvest(args: Namespace) -> None:
    from steersman_training.chats import read_chats
    from steersman_training.harvest import HarvestConfig
    from steersman_training.harvest import harvest as run

    config = HarvestConfig(source=args.source, tokens=args.tokens, max_length=args.max_length, seed=args.seed)
    host, tokenizer = open_host(args)
    manifest = run(host, tokenizer, read_chats(args.source, args.cache_dir), config, args.out)
    print(f"{args.out} holds {manifest.tokens:,} tokens in {len(manifest.shards)} shards.")


command = Command(
    summary="run chats through a model and keep what a layer computes",
    add_arguments=_add_harvest_arguments,
    run=_harvest,
    epilog="""\
examples:
  steersman harvest --out runs/harvest
  steersman harvest --model llama-3-8b-instruct --source chats.jsonl --tokens 100000000 --out runs/llama
A harvest that was stopped goes on when the same command is given again.
""",
)
