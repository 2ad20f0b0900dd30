"""`steersman evaluate`: measure an SAE on held-out chats."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from steersman.cli import Command
from steersman_training.model_arguments import add_model_arguments, add_source_argument, open_host


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


command = Command(
    summary="measure an SAE on held-out chats",
    add_arguments=_add_evaluate_arguments,
    run=_evaluate,
    epilog="""\
examples:
  steersman evaluate --sae runs/sae/sae.safetensors --out runs/sae/metrics.json
  steersman evaluate --sae runs/sae/sae.safetensors --tokens 10000 --out quick.json
""",
)
