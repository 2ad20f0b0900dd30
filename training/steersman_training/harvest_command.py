"""`steersman harvest`: run chats through a model and keep what layers compute."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.cli import Command
from steersman_training.model_arguments import SOURCES, add_model_arguments, add_source_argument, open_host

if TYPE_CHECKING:
    from steersman_training.harvest import Workers

EPILOG = f"""\
examples:
  steersman harvest --tokens 10_000_000 --dry-run --out runs/harvest
  steersman harvest --tokens 10_000_000 --out runs/harvest
  steersman harvest --layers 6,12,18 --out runs/three
  steersman harvest --source hub:lmsys/lmsys-chat-1m@0.8 --source hub:HuggingFaceFW/fineweb,first=99999@0.2 \\
    --model llama-3-8b-instruct --tokens 100_000_000 --ring 16 --out runs/llama
  accelerate launch --num_processes 8 -m steersman_training harvest --tokens 100_000_000 --out runs/harvest

It says first how much disk and time it takes. Given again, the same command goes on where it was stopped,
even by a kill: at most two files of --shard-tokens are lost, and it ends with the same bytes. With --ring it
runs beside `steersman train` on the same folder, and neither needs more disk than the ring.

{SOURCES}
"""


def _add_arguments(parser: ArgumentParser) -> None:
    add_model_arguments(parser)
    parser.add_argument("--layers", metavar="A,B,...", help="several layers in one pass, a folder for each")
    add_source_argument(parser)
    parser.add_argument(
        "--tokens", type=int, default=3_000_000, metavar="N", help="about so many (default: %(default)s)"
    )
    parser.add_argument(
        "--max-length",
        type=int,
        default=512,
        metavar="N",
        help="cut conversations after so many tokens (default: %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="fixes the order of the conversations (default: %(default)s)"
    )
    parser.add_argument(
        "--batch-tokens", type=int, default=4096, metavar="N", help="in a forward pass (default: %(default)s)"
    )
    parser.add_argument(
        "--shard-tokens", type=int, default=131_072, metavar="N", help="in a file (default: %(default)s)"
    )
    parser.add_argument(
        "--ring",
        type=int,
        default=0,
        metavar="N",
        help="keep only N files, those that a trainer which runs beside it needs next (default: keep all)",
    )
    parser.add_argument("--dry-run", action="store_true", help="only say how much disk and time it takes")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder to fill, or to go on filling"
    )


def _run(args: Namespace) -> None:
    from steersman_engine.causal_attention import ATTENTION  # heavy, as the next two: not for --help
    from steersman_training.chats import read_chats
    from steersman_training.harvest import HarvestConfig, harvest, plan

    layers = _layers(args)
    config = HarvestConfig(
        source=args.source,
        tokens=args.tokens,
        max_length=args.max_length,
        seed=args.seed,
        batch_tokens=args.batch_tokens,
        shard_tokens=args.shard_tokens,
        layers=layers,
        ring=args.ring,
    )
    if layers:
        args.layer = max(layers)
    workers = accelerate_workers(args.device)
    host, tokenizer = open_host(args, attention=ATTENTION)
    chats = read_chats(args.source, args.cache_dir)
    if args.dry_run:
        found = plan(host, tokenizer, chats, config, args.out)
        print(found)
        found.check()
        return
    manifest = harvest(host, tokenizer, chats, config, args.out, workers=workers)
    if workers.index == 0:
        print(f"{args.out} holds {manifest.tokens:,} tokens in {len(manifest.shards)} shards.")


def _layers(args: Namespace) -> tuple[int, ...]:
    if args.layers is None:
        return ()
    if args.layer is not None:
        raise ValueError("Give --layer or --layers, not both.")
    try:
        return tuple(int(layer) for layer in args.layers.split(","))
    except ValueError as error:
        raise ValueError(f"--layers is {args.layers!r}: give numbers, as in 6,12,18.") from error


def accelerate_workers(device: str) -> "Workers":
    """The processes that `accelerate launch` has started; one without it."""
    import torch
    from accelerate import PartialState

    from steersman_training.harvest import Workers

    state = PartialState(cpu=device == "cpu" or not torch.cuda.is_available())
    return Workers(state.process_index, state.num_processes, state.wait_for_everyone)


command = Command(
    summary="run chats through a model and keep what a layer computes",
    add_arguments=_add_arguments,
    run=_run,
    epilog=EPILOG,
)
