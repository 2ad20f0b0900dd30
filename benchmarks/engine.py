"""Streams of greedy answers from our engine and from its peers, in one run, cell by cell and interleaved.

    python benchmarks/engine.py --quick
    python benchmarks/engine.py --llama-python PEERS/bin/python --transformers-cli PEERS/bin/transformers
    python benchmarks/engine.py --http "vllm=http://localhost:8001 MODEL COMMAND ..."

All streams of a cell begin at once, with prompts of their own; every stream has other edits. An engine has
a process of its own and is idle while another is measured. First each engine's greedy answers are held
against transformers' (ours must be equal); then come the repeats, of which medians are reported.
`--merge` keeps the cells that an earlier run measured and this one does not: a grid may be run in parts.
"""

import argparse
import json
import os
import random
import shlex
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from engine_bound import measured_bound
from engine_tables import tables
from facts import ROOT, load_average, results_of, write

PEERS = Path(__file__).parent / "engine_peers"
REFERENCE = "transformers generate"
EDIT_UNITS = 8.0
"""An edit sets its feature to so many residual units: enough to change an answer, too little to end it."""
MAX_NEW_TOKENS = 64
SERVE_PORT = 8123
NUM_BLOCKS = 128
"""Of 256 tokens, for transformers' continuous batching: unless told so it takes nearly all memory."""


@dataclass
class Engine:
    """A process that answers, as `engine_peers/worker.py` says."""

    name: str
    command: list[str]
    exact: bool = False
    """Its answers must be the reference's."""
    process: subprocess.Popen[str] | None = None
    about: dict[str, Any] = field(default_factory=dict)

    def start(self, log: Path) -> None:
        """Start it, and wait until it is ready."""
        environment = {**os.environ, "PYTHONPATH": str(PEERS), "HF_HUB_OFFLINE": "1"}
        self.process = subprocess.Popen(
            self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log.open("w"), text=True,
            env=environment,
        )  # fmt: skip
        self.about = self._read()

    def ask(self, prompts: list[list[int]], new_tokens: int, edits: list[Any]) -> dict[str, Any]:
        """Its answer to one cell."""
        assert self.process is not None and self.process.stdin is not None
        asked = {"prompts": prompts, "new_tokens": new_tokens, "edits": edits}
        print(json.dumps(asked), file=self.process.stdin, flush=True)
        return self._read()

    def stop(self) -> None:
        """End it."""
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()

    def _read(self) -> dict[str, Any]:
        assert self.process is not None and self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self.process.wait()}.")
        return json.loads(line)


@dataclass(frozen=True)
class Cell:
    """One point of the grid."""

    streams: int
    prompt: int
    edits: int


@cache
def text_ids(folder: Path) -> list[int]:
    """The tokens of some text."""
    from transformers import AutoTokenizer

    text = "".join(
        (ROOT / name).read_text(encoding="utf-8") for name in ("LICENSE", "README.md", "ARCHITECTURE.md")
    )
    return AutoTokenizer.from_pretrained(folder)(text)["input_ids"]


def prompts_of(folder: Path, cell: Cell, repeat: int) -> list[list[int]]:
    """Real text, a part of its own for every stream, cell and repeat, so that no prefix is shared."""
    ids = text_ids(folder)
    starts = random.Random(f"{cell} {repeat}").sample(range(len(ids) - cell.prompt), cell.streams)
    return [ids[start : start + cell.prompt] for start in starts]


def edits_of(cell: Cell, d_sae: int) -> list[list[tuple[int, float]]]:
    """For each stream so many features of its own."""
    return [
        [((stream * cell.edits + edit) * 37 % d_sae, EDIT_UNITS) for edit in range(cell.edits)]
        for stream in range(cell.streams)
    ]


def figures(answer: dict[str, Any], streams: int, new_tokens: int) -> dict[str, float]:
    """Of one run. `between` are the times between the tokens of a stream, of all streams."""
    times = [one for one in answer["times"] if one]
    between = sorted(b - a for one in times for a, b in pairwise(one))
    last = max(one[-1] for one in times)
    found = {
        "first_token_s": statistics.median(one[0] for one in times),
        "between_p50_s": between[len(between) // 2],
        "between_p99_s": between[min(len(between) - 1, int(0.99 * len(between)))],
        "tokens_per_s": streams * new_tokens / last,
    }
    found["writing_tokens_per_s"] = streams / found["between_p50_s"]
    if "steps" in answer:
        found |= {"steps": answer["steps"], "in_steps": answer["in_steps_s"] / answer["wall_s"]}
    return found


def check(engines: list[Engine], folder: Path, d_sae: int) -> dict[str, Any]:
    """The greedy answers of 8 streams against the reference's, plain and steered.

    Raises:
        SystemExit: One that must be equal is not.
    """
    agreement: dict[str, Any] = {}
    reference = next((engine for engine in engines if engine.name == REFERENCE), None)
    if reference is None:
        return {"not checked": f"{REFERENCE} takes no part"}
    for num_edits in (0, 16):
        cell = Cell(8, 64, num_edits)
        prompts, edits = prompts_of(folder, cell, 0), edits_of(cell, d_sae)
        wanted = reference.ask(prompts, 24, edits)["tokens"]
        for engine in engines:
            if engine is reference or (num_edits and not engine.about["steers"]):
                continue
            found = engine.ask(prompts, 24, edits)["tokens"]
            if not all(isinstance(token, int) for one in found for token in one):
                continue  # it gives text
            same = [common(a, b) for a, b in zip(found, wanted, strict=True)]
            agreement.setdefault(engine.name, {})[f"{num_edits} edits"] = f"{sum(same)} of {8 * 24} tokens"
            if engine.exact and sum(same) < 8 * 24:
                raise SystemExit(
                    f"{engine.name} with {num_edits} edits: {same} of 24 tokens are the reference's."
                )
    return agreement


def common(a: list[Any], b: list[Any]) -> int:
    """How many tokens agree from the beginning on."""
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def main() -> None:
    arguments = parsed()
    folder, engines, skipped = set_up(arguments)
    cells = [
        Cell(streams, prompt, edits)
        for prompt in arguments.prompts
        for streams in arguments.streams
        for edits in arguments.edits
    ]
    d_sae = arguments.d_sae
    started, agreement = [], {}
    begun = time.monotonic()
    try:
        for engine in engines:
            try:
                engine.start(Path(arguments.logs) / f"{engine.name.replace(' ', '-').replace('/', '-')}.log")
                engine.ask(prompts_of(folder, Cell(2, 32, 0), 0), 4, [[], []])  # warm-up
                started.append(engine)
            except RuntimeError as error:
                skipped[engine.name] = str(error)
        agreement = check(started, folder, d_sae)
        bound = measured_bound(arguments.threads)
        runs: dict[tuple[str, Cell], list[dict[str, float]]] = {}
        for repeat in range(arguments.repeats):
            for cell in cells:
                for engine in started if repeat % 2 == 0 else reversed(started):
                    if cell.edits and not engine.about["steers"]:
                        continue
                    answer = engine.ask(
                        prompts_of(folder, cell, 1 + repeat), arguments.new_tokens, edits_of(cell, d_sae)
                    )
                    found = figures(answer, cell.streams, arguments.new_tokens)
                    runs.setdefault((engine.name, cell), []).append(found)
                    rate = f"{found['tokens_per_s']:8.1f} tokens/s"
                    print(f"{time.monotonic() - begun:5.0f} s  {engine.name:32} {cell}  {rate}", flush=True)
    finally:
        for engine in engines:
            engine.stop()
    measured = [
        {
            "engine": name,
            **vars(cell),
            "repeats": len(found),
            **{key: statistics.median(one[key] for one in found) for key in found[0]},
            "tokens_per_s_range": [
                min(one["tokens_per_s"] for one in found),
                max(one["tokens_per_s"] for one in found),
            ],
        }
        for (name, cell), found in runs.items()
    ]
    results = {
        "bound": bound,
        "load_before": arguments.load,
        "agreement": agreement,
        "software": {engine.name: engine.about.get("software", {}) for engine in started},
        "skipped": skipped,
        "cells": merged(arguments, measured),
    }
    workload = {
        "model": folder.name, "new_tokens": arguments.new_tokens, "repeats": arguments.repeats,
        "edit": f"set to {EDIT_UNITS} residual units", "threads": arguments.threads, "sampling": "greedy",
    }  # fmt: skip
    print(write(arguments.name, workload=workload, results=results, tables=tables(results)))


def merged(arguments: argparse.Namespace, measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With `--merge`, also what the results file holds of other cells."""
    before = results_of(arguments.name) if arguments.merge else None
    if before is None:
        return measured
    fresh, kept = {_key(cell) for cell in measured}, before["cells"]
    return [cell for cell in kept if _key(cell) not in fresh] + measured


def _key(cell: dict[str, Any]) -> tuple[Any, ...]:
    return cell["engine"], cell["streams"], cell["prompt"], cell["edits"]


def set_up(arguments: argparse.Namespace) -> tuple[Path, list[Engine], dict[str, str]]:
    """The model's folder, the engines that take part, and why others do not."""
    from engine_peers.llama_files import llama_files

    from steersman_engine.bundle import Bundle
    from steersman_engine.commands import default_cache
    from steersman_engine.pull import pull

    folder = Path(pull("smollm2-135m-instruct", default_cache()))
    bundle = "smollm2-135m"
    arguments.d_sae = Bundle.named(bundle).sae("cpu").d_sae

    def worker(name: str, python: str, *rest: str) -> list[str]:
        return [python, str(PEERS / f"{name}_worker.py"), *rest]

    here = sys.executable
    engines = [
        Engine("steersman", worker("steersman", here, str(folder), bundle, "fast"), exact=True),
        Engine(
            "steersman, transformers' forward",
            worker("steersman", here, str(folder), bundle, "transformers"),
            exact=True,
        ),
        Engine(REFERENCE, worker("transformers", here, str(folder), "float32", "generate", bundle)),
        Engine(f"{REFERENCE}, bfloat16", worker("transformers", here, str(folder), "bfloat16", "generate")),
        Engine(
            "transformers continuous",
            worker("transformers", here, str(folder), "float32", "continuous", str(NUM_BLOCKS)),
        ),
    ]
    skipped = {}
    positions = str(max(arguments.prompts) + MAX_NEW_TOKENS)
    for kind, path in llama_files(default_cache()).items() if arguments.llama_python else ():
        command = worker(
            "llama_cpp", arguments.llama_python, str(path), str(max(8, *arguments.streams)), positions
        )
        engines.append(Engine(f"llama.cpp {kind}", command))
    if not arguments.llama_python:
        skipped["llama.cpp"] = "no --llama-python"
    for given in arguments.http:
        name, _, rest = given.partition("=")
        url, model, *command = shlex.split(rest)
        engines.append(Engine(name, worker("http", here, url, model, "ids", "--", *command)))
    if arguments.transformers_cli:
        command = [arguments.transformers_cli, "serve", str(folder), "--continuous-batching"]
        command += ["--dtype", "bfloat16", "--port", str(SERVE_PORT), "--cb-num-blocks", str(NUM_BLOCKS)]
        url = f"http://localhost:{SERVE_PORT}"
        engines.append(
            Engine("transformers serve", worker("http", here, url, str(folder), str(folder), "--", *command))
        )
    if arguments.engines:
        engines = [engine for engine in engines if engine.name in arguments.engines]
    return folder, engines, skipped


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 2, 4, 8, 16, 32])
    parser.add_argument("--prompts", type=int, nargs="+", default=[64, 512], help="their tokens")
    parser.add_argument("--edits", type=int, nargs="+", default=[0, 1, 16], help="per stream")
    parser.add_argument("--new-tokens", type=int, default=MAX_NEW_TOKENS)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument(
        "--quick", action="store_true", help="1 and 8 streams, prompts of 64, 0 and 16 edits, 3 repeats"
    )
    parser.add_argument("--engines", nargs="+", help="only these, by name")
    parser.add_argument("--llama-python", help="a Python that has xllamacpp")
    parser.add_argument("--http", nargs="+", default=[], metavar="NAME=URL MODEL COMMAND ...")
    parser.add_argument("--transformers-cli", help="a `transformers` command that can serve")
    parser.add_argument("--name", default="engine", help="of the results file")
    parser.add_argument("--merge", action="store_true", help="keep other cells of the results file")
    parser.add_argument("--logs", default="/tmp", help="folder for what the engines print")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.streams, arguments.prompts, arguments.edits = [1, 8], [64], [0, 16]
        arguments.repeats = 3
    arguments.threads, arguments.load = len(os.sched_getaffinity(0)), load_average()
    return arguments


if __name__ == "__main__":
    main()
