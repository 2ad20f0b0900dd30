"""`steersman harvest`, `train` and `evaluate`."""

from argparse import ArgumentParser, Namespace
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.cli import Command
from steersman_engine.commands import add_cache_argument
from steersman_engine.presets import DEFAULT_MODEL, PRESETS
from steersman_training.recipes import RECIPES, TrainConfig

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from steersman_engine.host import HostModel


def add_model_arguments(parser: ArgumentParser) -> None:
    """Add what `open_host` reads."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help=f"{', '.join(PRESETS)}, a Hugging Face id or a folder (default: %(default)s)",
    )
    parser.add_argument(
        "--layer", type=int, help="0-based block after which the SAE reads (default: the model's preset)"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: %(default)s)")
    parser.add_argument(
        "--dtype",
        choices=["float32", "bfloat16"],
        help="of the model (default: bfloat16 where the processor has it)",
    )
    add_cache_argument(parser)


def add_source_argument(parser: ArgumentParser) -> None:
    """Add `--source`."""
    parser.add_argument(
        "--source",
        default="sharegpt",
        help="`sharegpt`, or a JSONL file with `messages` or `conversations` a line (default: %(default)s)",
    )


def open_host(args: Namespace) -> "tuple[HostModel, PreTrainedTokenizerBase]":
    """The model that the arguments name, fetched where needed, tapped at the layer."""
    import torch  # heavy, as the next two: not for --help

    from steersman_engine.host import HostModel, fast_dtype, load_model
    from steersman_engine.pull import pull

    preset = PRESETS.get(args.model)
    layer = preset.layer if args.layer is None and preset is not None else args.layer
    if layer is None:
        raise ValueError(f"{args.model} is no preset, so its layer is not known: pass --layer.")
    device = best_device(args.device)
    dtype = getattr(torch, args.dtype) if args.dtype else fast_dtype(device)
    model, tokenizer = load_model(pull(args.model, args.cache_dir), dtype=dtype, device=device)
    return HostModel(model, layer, name=args.model), tokenizer


def best_device(device: str) -> str:
    """`device`, or for `auto` the GPU where there is one."""
    import torch

    if device != "auto":
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


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


def _add_train_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--harvest", type=Path, required=True, help="folder that `steersman harvest` filled")
    parser.add_argument("--out", type=Path, required=True, help="folder for the SAE, or of a stopped run")
    parser.add_argument(
        "--recipe", default="smol-cpu", choices=sorted(RECIPES), help="what to start from (%(default)s)"
    )
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: %(default)s)")
    overrides = parser.add_argument_group("in place of the recipe's own")
    for field in fields(TrainConfig):
        kind = field.type if field.type in (int, float) else str
        overrides.add_argument(f"--{field.name.replace('_', '-')}", type=kind, metavar="X")


def _train(args: Namespace) -> None:
    from steersman_training.train import train as run

    given = {field.name: getattr(args, field.name) for field in fields(TrainConfig)}
    chosen = {name: value for name, value in given.items() if value is not None}
    config = replace(RECIPES[args.recipe](), **chosen)
    if run(args.harvest, config, args.out, device=best_device(args.device)) is None:
        print(f"Stopped. The same command goes on from the checkpoint in {args.out}.")
    else:
        print(f"The SAE is in {args.out}; `steersman evaluate --sae {args.out}/sae.safetensors` measures it.")


def _add_evaluate_arguments(parser: ArgumentParser) -> None:
    add_model_arguments(parser)
    add_source_argument(parser)
    parser.add_argument("--sae", type=Path, required=True, help="an SAE in canonical form (sae.safetensors)")
    parser.add_argument(
        "--tokens", type=int, default=50_000, help="for reconstruction and fidelity (default: %(default)s)"
    )
    parser.add_argument(
        "--usage-tokens", type=int, default=450_000, help="for dead features (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="fixes which conversations are read")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")


def _evaluate(args: Namespace) -> None:
    from steersman_training.evaluate import EvaluationConfig, evaluate_file

    config = EvaluationConfig(
        source=args.source, tokens=args.tokens, usage_tokens=args.usage_tokens, seed=args.seed
    )
    host, tokenizer = open_host(args)
    evaluate_file(host, tokenizer, args.sae, config, args.out, cache=args.cache_dir)


harvest = Command(
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
train = Command(
    summary="train an SAE on a harvest",
    add_arguments=_add_train_arguments,
    run=_train,
    epilog="""\
examples:
  steersman train --harvest runs/harvest --out runs/sae
  steersman train --harvest runs/harvest --out runs/wide --d-sae 9216 --k 32
A run that was stopped goes on, to the same bits, when the same command is given again.
""",
)
evaluate = Command(
    summary="measure an SAE on held-out chats",
    add_arguments=_add_evaluate_arguments,
    run=_evaluate,
    epilog="""\
examples:
  steersman evaluate --sae runs/sae/sae.safetensors --out runs/sae/metrics.json
  steersman evaluate --sae runs/sae/sae.safetensors --tokens 10000 --out quick.json
""",
)
