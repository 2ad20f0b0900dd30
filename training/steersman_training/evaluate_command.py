"""`steersman evaluate`: measure an SAE on held-out chats."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from steersman.cli import Command
from steersman_training.model_arguments import SOURCES, add_model_arguments, add_source_argument, open_host


def _add_arguments(parser: ArgumentParser) -> None:
    add_model_arguments(parser)
    add_source_argument(parser)
    parser.add_argument(
        "--sae",
        type=Path,
        required=True,
        metavar="PATH",
        help="an SAE in canonical form: a file, or the folder of a run or a bundle",
    )
    parser.add_argument(
        "--tokens", type=int, default=50_000, help="for reconstruction and fidelity (default: %(default)s)"
    )
    parser.add_argument(
        "--usage-tokens", type=int, default=450_000, help="for dead features (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="fixes which conversations are read")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")


def _run(args: Namespace) -> None:
    from steersman_training.evaluate import EvaluationConfig, evaluate_file

    config = EvaluationConfig(
        source=args.source, tokens=args.tokens, usage_tokens=args.usage_tokens, seed=args.seed
    )
    host, tokenizer = open_host(args)
    evaluate_file(host, tokenizer, args.sae, config, args.out, cache=args.cache_dir)


command = Command(
    summary="measure an SAE on held-out chats",
    add_arguments=_add_arguments,
    run=_run,
    epilog=f"""\
examples:
  steersman evaluate --sae runs/sae --out runs/sae/metrics.json
  steersman evaluate --sae runs/sae/sae.safetensors --tokens 10_000 --usage-tokens 50_000 --out quick.json

L0, explained variance, and what the model loses when the reconstruction stands in for the residual stream:
ΔCE and KL in nats, fidelity to zero and to mean ablation. Dead, rare and always-on features, nearest decoder
rows, and echo groups (features that fire together and point alike). All by role, and for content and
template; with intervals over documents; and beside them the same of an SAE that nobody trained, of equal L0.

{SOURCES}
""",
)
