"""SAEs side by side: what was measured of each on held-out chats, and what its features do when they are set.

    python benchmarks/saes.py --harvest runs/harvest [--merge] NAME=runs/one NAME=runs/other ...

Each is a bundle, or a run that was evaluated (`steersman evaluate --sae RUN --out RUN/metrics.json`). For
steering, so many live features are drawn from each by the seed, and set to h_max, the largest activation on
the harvest's last shards: *output score* (Arad et al. 2025, arXiv:2505.20063) says how likely the tokens
become that the decoder row promotes, *coherent strength* how far, in multiples of h_max, a feature can be set
before ordinary text costs a nat a token more. Random rows stand beside. A few minutes on two cores.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from facts import Table, results_of, write
from safetensors import safe_open

from steersman_engine.bundle import MANIFEST as BUNDLE
from steersman_engine.commands import default_cache
from steersman_engine.host import HostModel, fast_dtype, load_model
from steersman_engine.pull import pull
from steersman_engine.sae import SAE
from steersman_training.labelling.causal import Causal, Output
from steersman_training.labelling.token_text import TokenText
from steersman_training.manifest import Manifest
from steersman_training.metrics import Metrics
from steersman_training.run_files import SAE_FILE, TrainFacts
from steersman_training.untrained import untrained_like

NUM_FEATURES, SEED, BLOCK = 512, 0, 512
H_MAX_SHARDS = 4
ROWS = 8192
HIGH_SCORE = 0.1
"""Of the output score's 0 to 1: from here on a feature is counted as one that writes its tokens."""


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What an SAE was made from, and what was measured of it."""

    name: str
    tokens: int
    samples: int
    config: dict[str, Any]
    metrics: Metrics

    @classmethod
    def read(cls, name: str, folder: Path) -> "Made":
        """Of a bundle, or of an evaluated run."""
        if (folder / BUNDLE).is_file():
            bundle = msgspec.json.decode((folder / BUNDLE).read_bytes())
            training, metrics = bundle["training"], msgspec.convert(bundle["metrics"], Metrics)
            config = {"architecture": training["architecture"], **training["config"]}
            samples = training["config"]["num_samples"]
            return cls(name=name, tokens=training["tokens"], samples=samples, config=config, metrics=metrics)
        facts = TrainFacts.load(folder)
        return cls(
            name=name,
            tokens=facts.harvest.tokens,
            samples=facts.config.num_samples,
            config=msgspec.to_builtins(facts.config),
            metrics=msgspec.json.decode((folder / "metrics.json").read_bytes(), type=Metrics),
        )


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """One SAE's figures."""

    made: Made
    steering: dict[str, dict[str, float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("saes", nargs="+", metavar="NAME=FOLDER", help="bundles, or evaluated runs")
    parser.add_argument("--harvest", type=Path, required=True, help="where h_max is measured")
    parser.add_argument("--merge", action="store_true", help="keep other SAEs of the results file")
    arguments = parser.parse_args()
    manifest = Manifest.load(arguments.harvest)
    model, tokenizer = load_model(
        pull(manifest.model, default_cache()), dtype=fast_dtype("cpu"), device="cpu"
    )
    host = HostModel(model, manifest.layer, name=manifest.model)
    x, text = residuals(arguments.harvest, manifest), TokenText(tokenizer)
    results = []
    for given in arguments.saes:
        name, _, folder = given.partition("=")
        made = Made.read(name, Path(folder))
        sae = SAE.load(Path(folder) / SAE_FILE)
        l0 = made.metrics.reconstruction["all"].l0
        beside = untrained_like(sae, x[:ROWS].float(), l0=l0, seed=SEED)
        steering = {
            kind: summary(steered(Causal(host, each, tokenizer, manifest.sink_norm, text), each, x))
            for kind, each in (("trained", sae), ("untrained", beside))
        }
        results.append(Result(made=made, steering=steering))
        print(name, steering, file=sys.stderr)
    if arguments.merge:
        fresh = {result.made.name for result in results}
        before = msgspec.convert(results_of("saes") or [], list[Result])
        results = [old for old in before if old.made.name not in fresh] + results
    figures, steering = tables(results)
    print(
        write(
            "saes",
            workload={
                "model": manifest.model, "layer": manifest.layer, "features": NUM_FEATURES, "seed": SEED,
                "h_max_tokens": len(x),
            },
            results=msgspec.to_builtins(results),
            tables={"figures": figures, "steering": steering},
        )
    )  # fmt: skip


def residuals(folder: Path, manifest: Manifest) -> torch.Tensor:
    """The last shards' residual streams, `[tokens, d_model]`."""
    parts = []
    for shard in manifest.shards[-H_MAX_SHARDS:]:
        with safe_open(folder / shard.file, framework="pt") as file:
            parts.append(file.get_tensor("resid"))
    return torch.cat(parts)


@torch.no_grad()
def largest(sae: SAE, x: torch.Tensor) -> np.ndarray:
    """h_max of every feature on `x`, `[d_sae]`; 0 where it never fired."""
    found = torch.zeros(sae.d_sae)
    for rows in x.split(ROWS):
        found = torch.maximum(found, sae.encode(rows.float()).amax(dim=0))
    return found.numpy()


def steered(causal: Causal, sae: SAE, x: torch.Tensor) -> list[Output]:
    """What features drawn from the live ones do."""
    h_max = largest(sae, x)
    drawn = np.random.default_rng(SEED).permutation(np.flatnonzero(h_max))[:NUM_FEATURES]
    only = np.where(np.isin(np.arange(sae.d_sae), drawn), h_max, 0)
    blocks = [range(first, min(first + BLOCK, sae.d_sae)) for first in range(0, sae.d_sae, BLOCK)]
    return [output for block in blocks for output in causal.outputs(block, only)]


def summary(outputs: Sequence[Output]) -> dict[str, float]:
    """Of the drawn features: how many, and what is typical of them."""
    score = np.array([one.output_score for one in outputs])
    return {
        "features": len(outputs),
        "output_score_mean": float(score.mean()),
        "output_score_high": float((score >= HIGH_SCORE).mean()),
        "delta_confidence_mean": float(np.mean([one.delta_confidence for one in outputs])),
        "coherent_strength_median": float(np.median([one.coherent_strength for one in outputs])),
        "loss_rise_at_h_max_median": float(np.median([one.loss_rise[0] for one in outputs])),
    }


def tables(results: Sequence[Result]) -> tuple[Table, Table]:
    """The figures of all, and what their features do."""
    rows, steering = [], []
    for result in results:
        made, found = result.made, result.made.metrics
        rebuilt, loss = found.reconstruction["all"], found.next_token["all"]
        rows.append(
            [
                made.name, f"{found.d_sae:,}", f"{made.tokens / 1e6:.1f} M", f"{made.samples / 1e6:.0f} M",
                f"{rebuilt.l0:.1f}", f"{rebuilt.explained_variance:.3f}", f"{loss.delta_ce:.3f}",
                f"{loss.kl:.3f}", f"{loss.fidelity_zero:.4f}", f"{loss.fidelity_mean:.4f}",
                f"{found.usage.dead:.2%}",
            ]
        )  # fmt: skip
        for kind, of in result.steering.items():
            steering.append(
                [
                    made.name if kind == "trained" else f"{made.name}, untrained",
                    f"{of['output_score_mean']:.3f}", f"{of['output_score_high']:.0%}",
                    f"{of['delta_confidence_mean']:+.2f}", f"{of['loss_rise_at_h_max_median']:.2f}",
                    f"{of['coherent_strength_median']:.2f}",
                ]
            )  # fmt: skip
    return (
        Table(
            [
                "SAE", "d_sae", "harvested", "samples", "L0", "EV", "ΔCE", "KL", "fidelity, zero",
                "fidelity, mean", "dead",
            ],
            rows,
            note="On held-out chats; ΔCE and KL in nats.",
        ),
        Table(
            [
                "SAE", "output score", f"≥ {HIGH_SCORE}", "Δ confidence", "loss at h_max",
                "coherent strength",
            ],
            steering,
            note=f"{NUM_FEATURES} live features each, set to h_max: means of output score and Δ confidence"
            " (nats), medians of what ordinary text costs more (nats a token) and of the strength at which"
            " that is 1.",
        ),
    )  # fmt: skip


if __name__ == "__main__":
    main()
