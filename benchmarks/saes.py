"""SAEs side by side: what was measured of each on held-out chats, and what its features do when they are set.

    python benchmarks/saes.py --harvest runs/harvest NAME=runs/one NAME=runs/other ...

Each run must have been evaluated: `steersman evaluate --sae RUN --out RUN/metrics.json`. For steering, so
many live features are drawn from each by the seed, and set to h_max, the largest activation on the harvest's
last shards: *output score* (Arad et al. 2025, arXiv:2505.20063) says how likely the tokens become that the
decoder row promotes, *coherent strength* how far, in multiples of h_max, a feature can be set before ordinary
text costs a nat a token more. Random rows stand beside. About ten minutes on two cores.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import torch
from facts import Table, write
from safetensors import safe_open

from steersman_engine.commands import default_cache
from steersman_engine.host import HostModel, fast_dtype, load_model
from steersman_engine.presets import PRESETS
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
FULL_SCORE = 0.1
"""Of the output score's 0 to 1: from here on a feature is counted as one that writes its tokens."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN", help="evaluated runs of `steersman train`")
    parser.add_argument("--harvest", type=Path, required=True, help="what they were trained on")
    arguments = parser.parse_args()
    manifest = Manifest.load(arguments.harvest)
    preset = PRESETS[manifest.model]
    model, tokenizer = load_model(
        pull(manifest.model, default_cache()), dtype=fast_dtype("cpu"), device="cpu"
    )
    host = HostModel(model, preset.layer, name=manifest.model)
    x = residuals(arguments.harvest, manifest)
    results = []
    for given in arguments.runs:
        name, _, folder = given.partition("=")
        run = Path(folder)
        found = msgspec.json.decode((run / "metrics.json").read_bytes(), type=Metrics)
        facts = TrainFacts.load(run)
        sae = SAE.load(run / SAE_FILE)
        beside = untrained_like(sae, x[:ROWS].float(), l0=found.reconstruction["all"].l0, seed=SEED)
        outputs = {
            kind: steered(Causal(host, each, tokenizer, manifest.sink_norm, TokenText(tokenizer)), each, x)
            for kind, each in (("trained", sae), ("untrained", beside))
        }
        results.append(
            {
                "name": name,
                "config": msgspec.to_builtins(facts.config),
                "samples": facts.last.samples,
                "harvested": facts.harvest.tokens,
                "metrics": msgspec.to_builtins(found),
                "steering": {kind: summary(of) for kind, of in outputs.items()},
            }
        )
        print(name, results[-1]["steering"], file=sys.stderr)
    figures, steering = tables(results)
    print(
        write(
            "saes",
            workload={
                "model": manifest.model, "layer": preset.layer, "features": NUM_FEATURES, "seed": SEED,
                "h_max_tokens": len(x),
            },
            results=results,
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
        "output_score_high": float((score >= FULL_SCORE).mean()),
        "delta_confidence_mean": float(np.mean([one.delta_confidence for one in outputs])),
        "coherent_strength_median": float(np.median([one.coherent_strength for one in outputs])),
        "loss_rise_at_h_max_median": float(np.median([one.loss_rise[0] for one in outputs])),
    }


def tables(results: Sequence[dict]) -> tuple[Table, Table]:
    """The figures of all, and what their features do."""
    rows, steering = [], []
    for result in results:
        found = msgspec.convert(result["metrics"], Metrics)
        rebuilt, loss, usage = found.reconstruction["all"], found.next_token["all"], found.usage
        rows.append(
            [
                result["name"], f"{found.d_sae:,}", f"{rebuilt.l0:.1f}", f"{rebuilt.explained_variance:.3f}",
                f"{loss.delta_ce:.3f}", f"{loss.kl:.3f}", f"{loss.fidelity_zero:.4f}",
                f"{loss.fidelity_mean:.4f}", f"{usage.dead:.2%}",
                f"{found.geometry.max_cosine_median:.2f}" if found.geometry else "–",
            ]
        )  # fmt: skip
        for kind, of in result["steering"].items():
            steering.append(
                [
                    result["name"] if kind == "trained" else f"{result['name']}, untrained",
                    f"{of['output_score_mean']:.3f}", f"{of['output_score_high']:.0%}",
                    f"{of['delta_confidence_mean']:+.2f}", f"{of['loss_rise_at_h_max_median']:.2f}",
                    f"{of['coherent_strength_median']:.2f}",
                ]
            )  # fmt: skip
    first = results[0]
    seen = f"{first['samples'] / 1e6:.0f} million samples of {first['harvested'] / 1e6:.1f} million tokens."
    return (
        Table(
            ["SAE", "d_sae", "L0", "EV", "ΔCE", "KL", "fidelity, zero", "fidelity, mean", "dead", "cosine"],
            rows,
            note=f"{seen} ΔCE and KL in nats; cosine: median over features, with the nearest decoder row.",
        ),
        Table(
            [
                "SAE", "output score", f"≥ {FULL_SCORE}", "Δ confidence", "loss at h_max",
                "coherent strength",
            ],
            steering,
            note=f"{NUM_FEATURES} live features each, set to h_max; losses in nats a token, over the plain"
            " model's; means, but medians of the last two.",
        ),
    )  # fmt: skip


if __name__ == "__main__":
    main()
