"""`steersman train`, and where the entry points find `harvest` and `evaluate`."""

from argparse import ArgumentParser, Namespace
from dataclasses import fields, replace
from pathlib import Path

from steersman.cli import Command
from steersman_training.evaluate_command import command as evaluate
from steersman_training.harvest_command import command as harvest
from steersman_training.model_arguments import (
    add_model_arguments,
    add_source_argument,
    best_device,
    open_host,
)
from steersman_training.recipes import RECIPES, TrainConfig

__all__ = [
    "add_model_arguments",
    "add_source_argument",
    "best_device",
    "evaluate",
    "harvest",
    "open_host",
    "train",
]


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
