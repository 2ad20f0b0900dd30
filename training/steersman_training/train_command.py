"""`steersman train`: from a harvest to an SAE."""

from argparse import Action, ArgumentParser, Namespace
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

from steersman.cli import Command
from steersman_engine.commands import add_cache_argument
from steersman_training.model_arguments import best_device
from steersman_training.overrides import (
    as_toml,
    configured,
    overridden,
    parsed,
    read_settings,
    read_toml,
    summary,
)
from steersman_training.recipes import RECIPES
from steersman_training.train_config import ARCHITECTURES, TrainConfig

if TYPE_CHECKING:
    from steersman_training.fidelity import FidelityWatch
    from steersman_training.manifest import Manifest

FLAGS = ("d_sae", "expansion", "k", "l1", "target_l0", "lr", "num_samples", "batch_size", "dtype", "seed")
LOGGERS = ("tensorboard", "wandb", "trackio")


class _Print(Action):
    """Print something and end, as `--help` does, whatever else is given."""

    def __init__(self, option_strings, dest, **kwargs) -> None:
        self.text = kwargs.pop("text")
        super().__init__(option_strings, dest, **kwargs)

    def __call__(self, parser, namespace, values, option_string=None) -> None:
        print(self.text(values))
        parser.exit()


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--list", action=_Print, nargs=0, text=_listing, help="list the recipes and architectures"
    )
    parser.add_argument(
        "--show", action=_Print, metavar="RECIPE", text=_shown, help="print a recipe as TOML, explained"
    )
    parser.add_argument("--harvest", type=Path, required=True, help="folder that `steersman harvest` filled")
    parser.add_argument("--out", type=Path, required=True, help="folder for the SAE, or of a stopped run")
    parser.add_argument("--recipe", metavar="NAME", help="what to start from (default: smollm2_135m_cpu)")
    parser.add_argument("--architecture", metavar="NAME", help=", ".join(ARCHITECTURES))
    parser.add_argument("--config", type=Path, metavar="FILE.toml", help="settings, as --show prints them")
    for name in FLAGS:
        parser.add_argument(f"--{name.replace('_', '-')}", type=parsed, metavar="X", help="see --show")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="any other setting")
    parser.add_argument(
        "--sweep",
        action="append",
        default=[],
        metavar="NAME=A,B,…",
        help="train one SAE for each value in one pass, in OUT/NAME=A, …; more than once for a grid",
    )
    parser.add_argument(
        "--log",
        action="append",
        default=[],
        choices=LOGGERS,
        help="show metrics there, beside OUT/metrics.jsonl",
    )
    parser.add_argument(
        "--fidelity-every",
        type=int,
        metavar="SAMPLES",
        help="measure fidelity on a few held-out chats so often; loads the model (default: never)",
    )
    add_cache_argument(parser)
    parser.add_argument("--device", default="auto", help="cpu, cuda, cuda:1, ... (default: %(default)s)")


def _run(args: Namespace) -> None:
    from steersman_training.manifest import Manifest  # heavy, as the next two: not for --help
    from steersman_training.train import train_many
    from steersman_training.world import open_world

    device = best_device(args.device)
    manifest = Manifest.load(args.harvest)
    configs = _configs(args, manifest.d_model)
    world = open_world(device)
    watch = _watch(args, manifest, device)
    done = train_many(args.harvest, configs, device=device, world=world, loggers=args.log, fidelity=watch)
    if not world.leads:
        return
    if done is None:
        print(f"Stopped. The same command goes on from the checkpoint in {args.out}.")
        return
    for out in configs:
        print(f"{out} is done; {out}/report.html shows how it went. To measure it:")
        print(f"  steersman evaluate --sae {out} --out {out}/metrics.json")
    if len(configs) > 1:
        print(f"Side by side: steersman report {args.out}/* --out {args.out}")


def _watch(args: Namespace, manifest: "Manifest", device: str) -> "FidelityWatch | None":
    """What measures fidelity, if that is asked for.

    Raises:
        ValueError: The number of samples is not one.
    """
    if args.fidelity_every is None:
        return None
    if args.fidelity_every < 1:
        raise ValueError(
            f"--fidelity-every is {args.fidelity_every}: give a number of samples, as in 1000000."
        )
    from steersman_training.fidelity import FidelityWatch

    return FidelityWatch.open(manifest, args.fidelity_every, device=device, cache=args.cache_dir)


def _configs(args: Namespace, d_model: int) -> dict[Path, TrainConfig]:
    """The run, or the runs, that the arguments ask for, by folder."""
    flags = {name: getattr(args, name) for name in ("recipe", "architecture", *FLAGS)}
    given = {name: value for name, value in flags.items() if value is not None} | read_settings(args.set)
    settings = overridden(read_toml(args.config) if args.config else {}, given)
    axes = [[(name, value) for value in values.split(",")] for name, values in map(_axis, args.sweep)]
    if not axes:
        return {args.out: configured(settings, d_model=d_model)}
    return {
        args.out / ",".join(f"{name}={value}" for name, value in point): configured(
            overridden(settings, {name: parsed(value) for name, value in point}), d_model=d_model
        )
        for point in product(*axes)
    }


def _axis(sweep: str) -> tuple[str, str]:
    name, equals, values = sweep.partition("=")
    if not equals or not values:
        raise ValueError(f"--sweep {sweep!r} has no values: write NAME=A,B, as in --sweep l1=2,5,10.")
    return name.strip().replace("-", "_"), values


def _listing(_: Any) -> str:
    lines = ["recipes (--recipe):", *(f"  {name}\n      {summary(make)}." for name, make in RECIPES.items())]
    lines += ["", "architectures (--architecture):"]
    lines += [f"  {name:12} {summary(kind)}." for name, kind in ARCHITECTURES.items()]
    return "\n".join(lines)


def _shown(recipe: str) -> str:
    return as_toml(configured({"recipe": recipe}, d_model=1))


command = Command(
    summary="train an SAE, or several at once, on a harvest",
    add_arguments=_add_arguments,
    run=_run,
    epilog="""\
examples:
  steersman train --harvest runs/harvest --out runs/sae
  steersman train --harvest runs/harvest --out runs/l1 --recipe smollm2_135m_l1_april --target-l0 48
  steersman train --harvest runs/harvest --out runs/wide --expansion 16 --k 32 --set lr_decay=0.3
  steersman train --harvest runs/harvest --out runs/sweep --recipe smollm2_135m_l1_april --sweep l1=2,5,10
  steersman train --show llama3_8b_instruct_l19_april > mine.toml
  steersman train --harvest runs/llama --out runs/llama-sae --config mine.toml --log tensorboard
  accelerate launch --num_processes 8 -m steersman_training train --harvest runs/llama --out runs/llama-sae
A run that was stopped, or killed, goes on to the same bits when the same command is given again.
""",
)
