"""`steersman label`: name an SAE's features, score the names, and make a catalogue of both."""

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from steersman.cli import Command
from steersman_engine.presets import DEFAULT_MODEL
from steersman_training.model_arguments import (
    DEFAULT_SOURCE,
    SOURCES,
    add_model_arguments,
    add_source_argument,
    best_device,
)

if TYPE_CHECKING:
    from steersman_training.labelling.config import LabelConfig

EPILOG = f"""\
examples:
  steersman label plan --harvest runs/harvest --sae runs/sae/sae.safetensors --out runs/label
  steersman label run --harvest runs/harvest --sae runs/sae/sae.safetensors --out runs/label
  steersman label status --out runs/label
  steersman label resume --out runs/label
  steersman label run --bundle smollm2-135m --tokens 50000 --features 100 --out runs/try

It reads the chats that neither the harvest nor the evaluation reads, and splits them into documents to
explain from, to choose from and to score on. A job that was stopped, in whatever way, goes on where it was.
In the end --out holds catalog.duckdb for `steersman bundle`, report.html for people and summary.json.
docs/labelling.md says what each score means, docs/labelling-backends.md how language models are asked.

{SOURCES}
"""


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=["plan", "run", "status", "resume", "import"],
        help="say what a job takes, do it, say how far it is, go on with it, read answers to an export",
    )
    parser.add_argument("answers", type=Path, nargs="?", metavar="FILE", help="what to import: JSON lines")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the job")
    add_model_arguments(parser, default=f"the harvest's or bundle's, else {DEFAULT_MODEL}")
    add_source_argument(parser, default=f"the harvest's or bundle's, else {DEFAULT_SOURCE}")
    parser.add_argument("--sae", type=Path, metavar="FILE", help="the SAE, in canonical form")
    sink = parser.add_mutually_exclusive_group()
    sink.add_argument(
        "--bundle", metavar="NAME", help="label this bundle's SAE anew; it says model and layer"
    )
    sink.add_argument(
        "--harvest", type=Path, metavar="DIR", help="what the SAE was trained on, for the layer and sinks"
    )
    sink.add_argument("--sink-norm", type=float, metavar="NORM", help="residual norm of attention sinks")
    parser.add_argument(
        "--tokens", type=int, default=1_000_000, help="how many to read (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="fixes all that is drawn (default: %(default)s)")
    parser.add_argument("--features", type=int, metavar="N", help="only those with the most activation mass")
    parser.add_argument(
        "--refine-rounds",
        type=int,
        default=1,
        metavar="N",
        help="0 keeps first labels (default: %(default)s)",
    )
    parser.add_argument(
        "--explainer",
        default="statistical",
        help="statistical (offline), claude, openai or export (default: %(default)s)",
    )
    parser.add_argument(
        "--judges",
        default="embedding,lexical",
        metavar="NAMES",
        help="of embedding, lexical, claude, openai, export; the first ranks features (default: %(default)s)",
    )
    parser.add_argument(
        "--moderator",
        default="rules",
        metavar="NAME",
        help="who else looks for what should be hidden: claude, openai or export (default: rules alone)",
    )
    parser.add_argument(
        "--llm",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="how language models are reached: judge_model=..., base_url=..., see docs/labelling-backends.md",
    )
    parser.add_argument(
        "--max-usd",
        type=float,
        default=0.0,
        metavar="X",
        help="refuse what may cost more (default: %(default)s)",
    )


def _run(args: Namespace) -> None:
    if (args.action == "import") != (args.answers is not None):
        raise ValueError(
            "`import` reads a file, and nothing else does: steersman label import FILE --out DIR."
        )
    if args.action == "import":
        from steersman_training.labelling.import_step import import_file

        import_file(args.out, args.answers)
        return
    from steersman_training.labelling import run as steps  # heavy: not for --help

    if args.action == "status":
        steps.show_status(args.out)
    elif args.action == "resume":
        from steersman_training.labelling.config import LabelConfig

        steps.run(args.out, LabelConfig.load(args.out))
    elif args.action == "plan":
        steps.plan(args.out, _config(args))
    else:
        steps.run(args.out, _config(args))


def _config(args: Namespace) -> "LabelConfig":
    from steersman_training.labelling.config import LabelConfig

    model, layer, sae, sink_norm, source = _subject(args)
    return LabelConfig(
        model=model,
        layer=layer,
        sae=str(sae.resolve()),
        sink_norm=sink_norm,
        source=args.source or source,
        tokens=args.tokens,
        seed=args.seed,
        explainer=args.explainer,
        judges=tuple(args.judges.split(",")),
        moderator=args.moderator,
        llm=_llm(args.llm),
        features=args.features,
        refine_rounds=args.refine_rounds,
        max_usd=args.max_usd,
        device=best_device(args.device),
        dtype=args.dtype,
        cache_dir=str(args.cache_dir),
    )


def _llm(given: list[str]) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign:
            raise ValueError(f"--llm {one} has no value: write NAME=VALUE.")
        found[name] = int(value) if value.isdigit() else value
    return found


def _subject(args: Namespace) -> tuple[str, int, Path, float, str]:
    """Model, layer, SAE, the norm of attention sinks, and what the SAE was trained on.

    Raises:
        ValueError: They are not all given, or contradict each other.
    """
    from steersman_engine.bundle import SAE_FILE, Bundle
    from steersman_engine.presets import PRESETS
    from steersman_training.shards import Manifest

    if args.bundle is not None:
        if args.sae is not None:
            raise ValueError("A bundle has its own SAE: pass --bundle or --sae, not both.")
        bundle = Bundle.named(args.bundle)
        manifest = bundle.manifest
        _check_subject(args, args.bundle, manifest.model, manifest.layer)
        source = str(manifest.training.get("source", DEFAULT_SOURCE))
        return manifest.model, manifest.layer, bundle.folder / SAE_FILE, manifest.sink_norm, source
    if args.sae is None:
        raise ValueError("Which SAE? Pass --sae and --harvest, or --bundle.")
    if args.harvest is not None:
        manifest = Manifest.load(args.harvest)
        _check_subject(args, args.harvest, manifest.model, manifest.layer)
        return manifest.model, manifest.layer, args.sae, manifest.sink_norm, manifest.source
    model = args.model or DEFAULT_MODEL
    preset = PRESETS.get(model)
    layer = preset.layer if args.layer is None and preset is not None else args.layer
    if layer is None or args.sink_norm is None:
        raise ValueError("Without --harvest or --bundle, pass --layer and --sink-norm.")
    return model, layer, args.sae, args.sink_norm, DEFAULT_SOURCE


def _check_subject(args: Namespace, of: Path | str, model: str, layer: int) -> None:
    if args.model not in (None, model) or args.layer not in (None, layer):
        raise ValueError(
            f"{of} is of {model}, layer {layer}: leave --model and --layer out, or pass the one that the SAE"
            " was trained on."
        )


command = Command(
    summary="name an SAE's features, score the names, make a catalogue",
    add_arguments=_add_arguments,
    run=_run,
    epilog=EPILOG,
)
