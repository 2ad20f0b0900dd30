"""Training steps a second: steersman beside SAELens, dictionary_learning and sparsify, in one run.

    python benchmarks/train.py --peer-python peers/bin/python [--quick]

All do the same: the same activations, first weights, architecture, width, batch and precision (float32), on
the same cores, in turn, several rounds; each library's fastest step of all rounds counts, compiled or not,
whichever is faster. `--peer-python`: a Python with sae-lens, eai-sparsify and (`--no-deps`, plus what it then
asks for) dictionary_learning, and the same torch. Without it steersman is timed alone.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from facts import Table, load_average, usable_cores, write
from safetensors.torch import save_file
from torch.nn.functional import normalize

STEPS = Path(__file__).parent / "train_steps.py"
D_MODEL = 576
L0 = 48
ARCHITECTURES = {
    "standard": "Standard-L1",
    "batch_topk": "BatchTopK, k = 48",
    "topk": "TopK, k = 48",
}
PEERS = {
    "standard": ("SAELens", "dictionary_learning"),
    "batch_topk": ("SAELens", "dictionary_learning"),
    "topk": ("SAELens", "dictionary_learning", "sparsify"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer-python", type=Path, help="a Python that has the other libraries")
    parser.add_argument("--widths", type=int, nargs="+", default=[4608, 9216])
    parser.add_argument("--architectures", nargs="+", choices=ARCHITECTURES, default=list(ARCHITECTURES))
    parser.add_argument("--batch", type=int, default=2048)
    parser.add_argument("--steps", type=int, default=4, help="timed steps of each process")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--compile", action="store_true", help="time the peers compiled too")
    parser.add_argument("--name", default="train", help="of the results file (default: %(default)s)")
    parser.add_argument("--quick", action="store_true", help="one round of two steps; nothing is written")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.steps = 1, 2
    results = []
    with tempfile.TemporaryDirectory() as folder:
        for width in args.widths:
            for architecture in args.architectures:
                start = Path(folder) / "start.safetensors"
                save_start(start, width, args.batch, sparse=architecture == "standard")
                results += compare(architecture, width, start, args)
    if not args.quick:
        workload = {
            "d_model": D_MODEL, "batch": args.batch, "precision": "float32", "steps": args.steps,
            "rounds": args.rounds, "threads": usable_cores(), "load_before": load_average(),
        }  # fmt: skip
        print(write(args.name, workload=workload, results=results, tables={"steps": table(results)}))


def save_start(path: Path, width: int, batch: int, *, sparse: bool) -> None:
    """Made-up activations and unit-norm weights; `sparse`: biased to 48 active features a token."""
    generator = torch.Generator().manual_seed(0)
    rows = normalize(torch.randn(width, D_MODEL, generator=generator), dim=-1)
    x = torch.randn(4 * batch, D_MODEL, generator=generator) + torch.randn(D_MODEL, generator=generator)
    b_enc = torch.zeros(width)
    if sparse:
        pre = x @ rows.T
        b_enc = -pre.kthvalue(round(len(x) * (1 - L0 / width)), dim=0).values
    save_file(
        {"x": x, "W_enc": rows.T.contiguous(), "b_enc": b_enc, "W_dec": rows, "b_dec": torch.zeros(D_MODEL)},
        path,
    )


def compare(architecture: str, width: int, start: Path, args: argparse.Namespace) -> list[dict]:
    """Every library in turn, `rounds` times over."""
    variants = [("steersman", sys.executable, False)]
    if args.peer_python:
        variants += [(name, str(args.peer_python), False) for name in PEERS[architecture]]
        if args.compile:
            variants += [
                (name, str(args.peer_python), True) for name in PEERS[architecture] if name != "sparsify"
            ]
    best: dict[str, dict] = {}
    for _ in range(args.rounds):
        for name, python, compiled in variants:
            command = [python, str(STEPS), name, architecture, str(start), "--batch", str(args.batch)]
            command += ["--steps", str(args.steps), "--threads", str(usable_cores())]
            done = subprocess.run(
                [*command, *(["--compile"] if compiled else [])], capture_output=True, text=True
            )
            if done.returncode:
                why = done.stderr.strip().splitlines()[-1]
                print(f"{name}{' compiled' * compiled} does not run: {why}", file=sys.stderr)
                continue
            found = json.loads(done.stdout.splitlines()[-1])
            speed = args.batch / min(found["seconds"])
            if speed > best.get(name, {"tokens_per_s": 0})["tokens_per_s"]:
                best[name] = {
                    "library": name, "version": found["version"], "torch": found["torch"],
                    "compiled": compiled, "architecture": architecture, "width": width, "tokens_per_s": speed,
                }  # fmt: skip
    for each in best.values():
        shown = f"{ARCHITECTURES[architecture]:20} {width:6} {each['library']:20}"
        print(f"{shown} {each['tokens_per_s']:8,.0f} tokens/s{' (compiled)' * each['compiled']}")
    return list(best.values())


def table(results: list[dict]) -> Table:
    """A row for each architecture and width, a column for each library."""
    names = list(dict.fromkeys(each["library"] for each in results))
    versions = {each["library"]: each["version"] for each in results}
    rows = []
    for key in dict.fromkeys((each["architecture"], each["width"]) for each in results):
        row = {each["library"]: each for each in results if (each["architecture"], each["width"]) == key}
        ours = row["steersman"]["tokens_per_s"]
        cells = [f"**{ours:,.0f}**"]
        for name in names[1:]:
            theirs = row[name]["tokens_per_s"] if name in row else None
            cells.append(f"{theirs:,.0f} ({ours / theirs:.1f}×)" if theirs else "")
        rows.append([ARCHITECTURES[key[0]], f"{key[1]:,}", *cells])
    heads = [f"{name} {versions[name]}" for name in names]
    return Table(
        columns=["architecture", "features", *heads],
        rows=rows,
        note="Tokens a second, and how many times as fast steersman is. Whole steps: forward and backward"
        " pass, clipping, optimiser, dead-feature counts. Standard-L1 at 48 active features a token, as after"
        " its warm-up.",
    )


if __name__ == "__main__":
    main()
