"""`report.html`: how runs went, side by side, in one file that needs nothing else."""

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import msgspec

from steersman_training.charts import NUM_COLOURS, Points, line_chart, step_chart
from steersman_training.manifest import write_atomically
from steersman_training.run_files import REPORT, StepMetrics, TrainFacts, read_metrics

EVALUATION = "metrics.json"
TEMPLATE = Path(__file__).with_name("report.html")
ROWS: tuple[tuple[str, str, str], ...] = (
    ("reconstruction", "l0", "L0"),
    ("reconstruction", "explained_variance", "explained variance"),
    ("next_token", "delta_ce", "ΔCE, nats"),
    ("next_token", "kl", "KL, nats"),
    ("next_token", "fidelity_zero", "fidelity, zero ablation"),
    ("next_token", "fidelity_mean", "fidelity, mean ablation"),
)
"""What is shown of an evaluation: a part of it, a number there, and its name."""


class Shown:
    """A run, as a report reads it."""

    def __init__(self, run: Path) -> None:
        self.name = run.name
        self.facts = TrainFacts.load(run)
        self.metrics = read_metrics(run)
        path = run / EVALUATION
        self.evaluation: dict[str, Any] | None = (
            msgspec.json.decode(path.read_bytes()) if path.is_file() else None
        )


def write_report(runs: Sequence[Path], out: Path) -> Path:
    """Write `report.html` of finished runs into the folder `out`.

    Raises:
        FileNotFoundError: A folder holds no finished run.
    """
    path = out / REPORT
    write_atomically(path, report([Shown(run) for run in runs]).encode())
    return path


def report(runs: Sequence[Shown]) -> str:
    """The page."""
    legend = [
        f'<span><i style="background: var(--c{index % NUM_COLOURS})"></i>{escape(run.name)}</span>'
        for index, run in enumerate(runs)
    ]
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(" · ".join(run.name for run in runs) if len(runs) <= 3 else f"{len(runs)} runs"),
        about=escape(_about(runs)),
        legend="".join(legend) if len(runs) > 1 else "",
        tables=_training_table(runs) + _evaluation_tables([run for run in runs if run.evaluation]),
        charts="".join(_charts(runs)),
        details="".join(map(_config, runs)),
    )


def _about(runs: Sequence[Shown]) -> str:
    harvest, what = runs[0].facts.harvest, "A sparse autoencoder" if len(runs) == 1 else "Sparse autoencoders"
    return (
        f"{what} of {harvest.model}, residual stream after block {harvest.layer}; learnt from"
        f" {harvest.tokens:,} tokens of {harvest.source}, read {runs[0].facts.num_epochs:.1f} times."
    )


def _charts(runs: Sequence[Shown]) -> list[str]:
    def curve(get: Callable[[StepMetrics], float | None]) -> dict[str, Points]:
        return {
            run.name: [(line.samples, value) for line in run.metrics if (value := get(line)) is not None]
            for run in runs
        }

    def share(get: Callable[[StepMetrics], float]) -> dict[str, Points]:
        return {
            run.name: [(line.samples, get(line) / run.facts.config.d_sae) for line in run.metrics]
            for run in runs
        }

    densities = {
        run.name: (run.facts.density.log10_edges, run.facts.density.counts)
        for run in runs
        if run.facts.density
    }
    tokens = "tokens"
    return [
        line_chart("Explained variance", curve(lambda line: max(line.explained_variance, 0)), x_label=tokens),
        line_chart("L0", curve(lambda line: line.l0), x_label=tokens, log=True),
        line_chart("Loss", curve(lambda line: line.loss), x_label=tokens, log=True),
        line_chart("Fidelity, zero ablation", curve(lambda line: line.fidelity), x_label=tokens, low=0.0),
        line_chart("Dead features, share", share(lambda line: line.dead), x_label=tokens, low=0.0),
        line_chart("Penalty's weight", curve(lambda line: line.penalty), x_label=tokens, low=0.0),
        line_chart("Threshold", curve(lambda line: line.threshold), x_label=tokens, low=0.0),
        line_chart("Length of the gradient", curve(lambda line: line.grad_norm), x_label=tokens, log=True),
        line_chart("Tokens a second", curve(lambda line: line.tokens_per_s), x_label=tokens, low=0.0),
        step_chart(
            "Features by density", densities, x_label="log10 of the share of tokens a feature is active on"
        ),
    ]


def _training_table(runs: Sequence[Shown]) -> str:
    def row(run: Shown) -> list[str]:
        config, last = run.facts.config, run.facts.last
        return [
            run.name,
            config.architecture.name,
            f"{config.d_sae:,}",
            f"{last.samples:,}",
            f"{last.l0_ema:.1f}",
            f"{last.explained_variance:.3f}",
            f"{last.dead / config.d_sae:.2%}",
            f"{last.rare / config.d_sae:.2%}",
        ]

    heads = ["run", "architecture", "features", "samples", "L0", "explained variance", "dead", "rare"]
    return "<h2>At the end of training</h2>" + _table(heads, map(row, runs))


def _evaluation_tables(runs: Sequence[Shown]) -> str:
    if not runs:
        return ""
    heads = ["run", *(name for _, _, name in ROWS)]
    rows = [[run.name, *(_number(run, part, key, "all") for part, key, _ in ROWS)] for run in runs]
    parts = ["<h2>On held-out chats</h2>", _table(heads, rows)]
    for run in runs:
        assert run.evaluation is not None
        roles = [role for role in run.evaluation.get("reconstruction", {}) if role != "all"]
        rows = [[role, *(_number(run, part, key, role) for part, key, _ in ROWS)] for role in roles]
        parts += [f"<h2>{escape(run.name)}, by role of the token</h2>", _table(["role", *heads[1:]], rows)]
    return "".join(parts)


def _number(run: Shown, part: str, key: str, role: str) -> str:
    assert run.evaluation is not None
    value = run.evaluation.get(part, {}).get(role, {}).get(key)
    return "" if value is None else f"{value:.1f}" if key == "l0" else f"{value:.4f}"


def _table(heads: Sequence[str], rows) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _config(run: Shown) -> str:
    facts = msgspec.to_builtins(run.facts)
    facts["harvest"]["shards"] = f"{len(facts['harvest']['shards'])} shards"
    text = msgspec.json.format(msgspec.json.encode(facts), indent=2).decode()
    return f"<details><summary>{escape(run.name)}: all settings</summary><pre>{escape(text)}</pre></details>"
