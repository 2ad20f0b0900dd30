"""`steersman sae`: look at SAEs of any library, and turn one format into another."""

from argparse import ArgumentParser, Namespace
from pathlib import Path

from steersman.cli import Command

FORMATS = ("steersman", "sae_lens", "sparsify", "dictionary_learning", "goodfire")
CALIBRATION_TOKENS = 8192


def _add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=["inspect", "convert"], help="print what it is, or write it anew")
    parser.add_argument("source", metavar="SAE", help="a file or folder, or hub:OWNER/NAME[/FOLDER]")
    parser.add_argument(
        "--to", choices=FORMATS, default="steersman", help="what to write (default: %(default)s)"
    )
    parser.add_argument("--out", type=Path, metavar="PATH", help="what convert writes: a folder, or a file")
    parser.add_argument(
        "--harvest",
        type=Path,
        metavar="DIR",
        help="residuals of the SAE's model and layer: inspect measures on them, convert finds what threshold"
        " stands for keeping the k largest",
    )


def _run(args: Namespace) -> None:
    from steersman_training import formats  # heavy, as all here: not for --help

    if args.action == "convert" and args.out is None:
        raise ValueError("convert needs --out: where to write.")
    name, found = formats.read(args.source)
    sample = _sample(args.harvest) if args.harvest else None
    if args.action == "inspect":
        _inspect(name, found, sample)
        return
    sae = found.canonical(sample)
    formats.write(sae, args.out, args.to, found.facts)
    print(f"{args.out}: {sae.d_sae:,} features of {sae.d_in} dimensions, as {args.to}.")


def _inspect(name: str, found, sample) -> None:
    norms = found.W_dec.norm(dim=-1)
    print(f"format               {name}, {found.architecture}")
    print(f"features             {found.W_enc.shape[1]:,} of {found.d_in} dimensions")
    print(f"decoder rows' norms  {norms.min():.3g} to {norms.max():.3g}, median {norms.median():.3g}")
    if found.threshold is not None:
        print(f"thresholds           {found.threshold.min():.3g} to {found.threshold.max():.3g}")
    if found.k is not None:
        print(f"keeps                the {found.k} largest activations")
    print(f"encoder reads        {'x − b_dec' if found.subtract_b_dec else 'x'}")
    for key, value in found.facts.items():
        print(f"{key:20} {value}")
    if sample is None or sample.shape[1] != found.d_in:
        return
    sae, x = found.canonical(sample), sample.float()
    acts = sae.encode(x)
    missed = (x - sae.decode(acts)).square().sum() / (x - x.mean(dim=0)).square().sum()
    print(
        f"on {len(x):,} tokens      L0 {(acts > 0).sum() / len(x):.1f} · explained variance {1 - missed:.3f}"
    )


def _sample(harvest: Path):
    from steersman_training.shards import Manifest, batches

    manifest = Manifest.load(harvest)
    return next(batches(harvest, manifest, batch_size=min(CALIBRATION_TOKENS, manifest.tokens // 2), seed=0))


command = Command(
    summary="look at an SAE of any library, or convert it",
    add_arguments=_add_arguments,
    run=_run,
    epilog="""\
examples:
  steersman sae inspect hub:Goodfire/Llama-3.1-8B-Instruct-SAE-l19/Llama-3.1-8B-Instruct-SAE-l19.pth
  steersman sae convert runs/sae --to sae_lens --out exported
  steersman sae convert downloaded/layers.18 --harvest runs/harvest --out sae.safetensors

formats:
  steersman            canonical form: sae.safetensors, or the folder of a run or bundle
  sae_lens             standard, jumprelu, gated, topk, batchtopk; written as standard or jumprelu
  sparsify             topk; written only where no feature has a threshold
  dictionary_learning  all of its classes but CrossCoder; written as JumpReluAutoEncoder
  goodfire             .pth or .pt; written only where no feature has a threshold

Reconstructions stay the same; activations become lengths in the residual stream. What keeps the k largest
activations has no threshold: --harvest measures the one at which k are active on average.
""",
)
