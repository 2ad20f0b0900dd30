"""A harvest's speed beside the plain forward pass to the same block, and the loader's beside the disk's.

    python benchmarks/harvest.py [--quick]

Harvest: real chats through the default model, everything included (reading and rendering chats, shuffling,
writing with checksums and fsync), against the same batches through transformers' own blocks up to the layer
and nothing else, in turn, round by round. Loader: shuffled batches of a harvest, against reading its files
from beginning to end; the files are dropped from the page cache before each reading.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import torch
from facts import Table, load_average, usable_cores, write

from steersman_engine.causal_attention import ATTENTION
from steersman_engine.commands import default_cache
from steersman_engine.host import HostModel, fast_dtype, load_model
from steersman_engine.presets import DEFAULT_MODEL, PRESETS
from steersman_engine.pull import pull
from steersman_training.chats import read_chats
from steersman_training.documents import padded
from steersman_training.harvest import HarvestConfig, fill
from steersman_training.harvest_job import Job, prepare
from steersman_training.manifest import Manifest, shard_name, write_shard
from steersman_training.shards import batches
from steersman_training.token_progress import TokenProgress

D_MODEL = 576
BATCH = 2048


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shards", type=int, default=2, help="of a round")
    parser.add_argument("--shard-tokens", type=int, default=8192)
    parser.add_argument("--loader-gb", type=float, default=1.5)
    parser.add_argument("--folder", type=Path, help="where to write (default: the temporary folder)")
    parser.add_argument("--quick", action="store_true", help="one small round; nothing is kept")
    args = parser.parse_args()
    if args.quick:
        args.rounds, args.shards, args.shard_tokens, args.loader_gb = 1, 1, 2048, 0.1
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        results = {
            "harvest": harvest_speed(Path(folder) / "harvest", args),
            "loader": loader_speed(Path(folder) / "loader", args),
        }
    if not args.quick:
        workload = {
            "model": DEFAULT_MODEL, "layer": PRESETS[DEFAULT_MODEL].layer, "source": "sharegpt",
            "dtype": str(fast_dtype(args.device)).removeprefix("torch."), "device": args.device,
            "batch_tokens": 4096, "max_length": 512, "rounds": args.rounds,
            "tokens_a_round": args.shards * args.shard_tokens, "threads": usable_cores(),
            "loader_gb": args.loader_gb, "load_before": load_average(),
        }  # fmt: skip
        print(write("harvest", workload=workload, results=results, tables=tables(results)))


def harvest_speed(folder: Path, args: argparse.Namespace) -> dict:
    """Tokens a second of both, of every round."""
    folder_of_model, dtype = pull(DEFAULT_MODEL, default_cache()), fast_dtype(args.device)
    plain, _ = load_model(folder_of_model, dtype=dtype, device=args.device)
    model, tokenizer = load_model(folder_of_model, dtype=dtype, device=args.device, attention=ATTENTION)
    layer = PRESETS[DEFAULT_MODEL].layer
    assert layer is not None
    host = HostModel(model, layer, name=DEFAULT_MODEL)
    chats = read_chats("sharegpt", default_cache())
    total = args.rounds * args.shards * args.shard_tokens
    config = HarvestConfig(source="sharegpt", tokens=total, shard_tokens=args.shard_tokens)
    begun, _ = prepare(host, tokenizer, chats, config, folder)
    begun.save()
    job = Job.load(host, tokenizer, chats, config, folder)
    found: dict[str, list[float]] = {"harvest_tokens_per_s": [], "plain_tokens_per_s": []}
    padding = []
    for number in range(args.rounds):
        todo = list(range(number * args.shards, (number + 1) * args.shards))
        read = {shard: job.read(shard) for shard in todo}
        tokens = sum(len(document.prompt) for group in read.values() for document in group)
        begin = time.perf_counter()
        with TokenProgress(0, shown=False) as progress:
            fill(job, [*todo, None], progress)
        found["harvest_tokens_per_s"].append(tokens / (time.perf_counter() - begin))
        ready = [
            ids.to(args.device) for group in read.values() for _, ids in padded(group, batch_tokens=4096)
        ]
        padding.append(1 - tokens / sum(ids.numel() for ids in ready))
        begin = time.perf_counter()
        plain_forward(plain, layer, ready)
        found["plain_tokens_per_s"].append(tokens / (time.perf_counter() - begin))
    shares = [
        ours / plain
        for ours, plain in zip(found["harvest_tokens_per_s"], found["plain_tokens_per_s"], strict=True)
    ]
    return {**found, "share": shares, "padding": padding}


@torch.no_grad()
def plain_forward(model, layer: int, ready: list[torch.Tensor]) -> None:
    """Transformers' model with the blocks after `layer` and the final norm taken out."""
    base = model.model
    blocks, norm = base.layers, base.norm
    base.layers, base.norm = blocks[: layer + 1], torch.nn.Identity()
    try:
        outputs = [base(input_ids=ids, use_cache=False).last_hidden_state[0, 0, 0] for ids in ready]
        torch.stack(outputs).sum().item()  # waits for the device
    finally:
        base.layers, base.norm = blocks, norm


def loader_speed(folder: Path, args: argparse.Namespace) -> dict:
    """GB a second of both; each the median of three."""
    folder.mkdir()
    a_shard = 65_536
    count = max(2, round(args.loader_gb * 1e9 / (a_shard * D_MODEL * 2)))
    shards = []
    for index in range(count):
        resid = torch.randn(a_shard, D_MODEL).bfloat16()
        shards.append(write_shard(folder, shard_name(index), {"resid": resid}))
    manifest = Manifest("", "", "", 0, D_MODEL, "", 0, 0, count * a_shard, shards=tuple(shards))
    total = manifest.tokens // BATCH
    found: dict[str, list[float]] = {"sequential": [], "loader_cold": [], "loader_warm": []}
    for _ in range(3):
        forget(folder)
        found["sequential"].append(timed(lambda: read_through(folder)))
        forget(folder)
        for name in ("loader_cold", "loader_warm"):
            found[name].append(timed(lambda: take(folder, manifest, total)))
    return {f"{name}_gb_per_s": statistics.median(speeds) for name, speeds in found.items()}


def take(folder: Path, manifest: Manifest, count: int) -> int:
    """One epoch of batches; how many bytes it was."""
    stream = batches(folder, manifest, batch_size=BATCH, seed=0)
    return sum(next(stream).nbytes for _ in range(count - count // 20))  # pools leave out what fills no batch


def read_through(folder: Path) -> int:
    """Every file from beginning to end; how many bytes they have."""
    total, buffer = 0, bytearray(16 * 2**20)
    for path in sorted(folder.glob("shard-*")):
        with path.open("rb", buffering=0) as file:
            while got := file.readinto(buffer):
                total += got
    return total


def forget(folder: Path) -> None:
    """Drop the files from the page cache."""
    for path in folder.glob("shard-*"):
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def timed(read) -> float:
    begin = time.perf_counter()
    return read() / 1e9 / (time.perf_counter() - begin)


def tables(results: dict) -> dict[str, Table]:
    harvest, loader = results["harvest"], results["loader"]
    ours, plain = (max(harvest[name]) for name in ("harvest_tokens_per_s", "plain_tokens_per_s"))
    share = statistics.median(harvest["share"])
    return {
        "harvest": Table(
            columns=["", "tokens/s", "share of the plain forward pass"],
            rows=[
                ["plain forward pass to the block", f"{plain:,.0f}", "1"],
                ["harvest, everything included", f"{ours:,.0f}", f"**{share:.3f}**"],
            ],
            note="Speeds are those of the fastest round, the share is the median round's.",
        ),
        "loader": Table(
            columns=["", "GB/s"],
            rows=[
                ["reading the files from beginning to end", f"{loader['sequential_gb_per_s']:.2f}"],
                ["shuffled batches, from disk", f"**{loader['loader_cold_gb_per_s']:.2f}**"],
                ["shuffled batches, from the page cache", f"{loader['loader_warm_gb_per_s']:.2f}"],
            ],
        ),
    }


if __name__ == "__main__":
    main()
