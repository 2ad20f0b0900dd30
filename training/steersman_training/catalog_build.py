"""`steersman catalog build`: measure the features of an SAE, and label them by counting words."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from steersman_training.commands import add_model_arguments, add_source_argument, open_host


def add_arguments(parser: ArgumentParser) -> None:
    """What to measure, on which chats."""
    add_model_arguments(parser)
    add_source_argument(parser)
    parser.add_argument("--sae", type=Path, required=True, metavar="FILE", help="the SAE, in canonical form")
    parser.add_argument(
        "--tokens", type=int, default=1_000_000, metavar="N", help="how many to read (default: %(default)s)"
    )
    sink = parser.add_mutually_exclusive_group(required=True)
    sink.add_argument("--sink-norm", type=float, metavar="NORM", help="residual norm of attention sinks")
    sink.add_argument(
        "--harvest", type=Path, metavar="DIR", help="the harvest the SAE was trained on, for that norm"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="fixes what is read and drawn (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the catalogue to write")


def run(args: Namespace) -> None:
    """Write the catalogue."""
    from steersman_engine.sae import SAE  # heavy, as all here: not for --help
    from steersman_training.build_catalog import CatalogConfig, build_catalog
    from steersman_training.chats import read_chats

    args.layer, sink_norm = _tap_of(args)
    chats = read_chats(args.source, args.cache_dir)
    host, tokenizer = open_host(args)
    sae = SAE.load(args.sae, str(host.device))
    config = CatalogConfig(source=args.source, tokens=args.tokens, seed=args.seed)
    build_catalog(host, tokenizer, sae, chats, config, args.out, sink_norm=sink_norm)
    print(f"{sae.d_sae:,} features are in {args.out} ({args.out.stat().st_size / 1e6:.1f} MB).")


def _tap_of(args: Namespace) -> tuple[int | None, float]:
    """The layer, None for the preset's, and the norm of attention sinks there."""
    from steersman_training.shards import Manifest

    if args.harvest is not None:
        manifest = Manifest.load(args.harvest)
        asked = (args.model, manifest.layer if args.layer is None else args.layer)
        if asked != (manifest.model, manifest.layer):
            raise ValueError(
                f"{args.harvest} is of {manifest.model}, layer {manifest.layer}, not of {asked[0]}, layer"
                f" {asked[1]}: pass the harvest that the SAE was trained on."
            )
        return manifest.layer, manifest.sink_norm
    return args.layer, args.sink_norm
