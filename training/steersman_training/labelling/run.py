"""What `steersman label` does: plan, run, status."""

import time
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from steersman_catalog.minilm import MiniLM
from steersman_engine.text_embedder import pull_embedder
from steersman_training.labelling.config import LabelConfig
from steersman_training.labelling.finish import CATALOGUE, REPORT, finish
from steersman_training.labelling.job import Job
from steersman_training.labelling.progress import shown_progress
from steersman_training.labelling.results import Results
from steersman_training.labelling.stage import stages_in
from steersman_training.labelling.subject import Subject
from steersman_training.labelling.summary import SHOWN

SPEED_TOKENS = 256
"""Read to see how fast the model is."""
SECONDS_A_FEATURE = 0.15
"""Of one core, for all that follows the reading, with offline explainers and judges; measured."""


def run(folder: Path, config: LabelConfig) -> None:
    """Make what is missing of a job; the same call goes on with one that was stopped."""
    config.save(folder)
    with shown_progress() as progress:
        summary = finish(Results(open_job(folder, config, progress)), folder)
    print(
        f"{summary.live:,} of {summary.features:,} features are labelled;"
        f" {summary.trusted:,} labels are trusted."
    )
    for line in summary.lines:
        if line.judge == config.judges[0] and line.test in ("contrastive", "stringent") and line.of == SHOWN:
            print(
                f"{line.test}: {line.mean:.3f} ({line.low:.3f} to {line.high:.3f}), chance {line.chance:.2f}"
            )
    print(f"{folder / CATALOGUE} is for `steersman bundle`; {folder / REPORT} is for people.")


def open_job(folder: Path, config: LabelConfig, progress: Progress | None = None) -> Job:
    """The job in `folder`, its model loaded."""
    embedder = MiniLM.load(pull_embedder(Path(config.cache_dir)))
    return Job(folder, config, Subject.open(config), embedder.embed, progress=progress)


def plan(folder: Path, config: LabelConfig) -> None:
    """Say what a job takes, without beginning it."""
    subject = Subject.open(config)
    ids = torch.randint(0, 1000, (1, SPEED_TOKENS), device=subject.host.device)
    subject.host.residual(ids)
    start = time.perf_counter()
    subject.sae.encode(subject.host.residual(ids).float())
    speed = SPEED_TOKENS / (time.perf_counter() - start)
    features = min(config.features or subject.sae.d_sae, subject.sae.d_sae)
    minutes = (config.tokens / speed + features * SECONDS_A_FEATURE) / 60
    rows = {
        "features": f"{features:,}",
        "tokens to read": f"{config.tokens:,}, at about {speed:,.0f} a second",
        "explainer": config.explainer,
        "judges": ", ".join(config.judges),
        "requests": "0",
        "dollars": f"0 of {config.max_usd:g} allowed",
        "time": f"about {minutes:,.0f} minutes on this machine",
        "folder": str(folder),
    }
    table = Table(show_header=False, box=None)
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table)


def show_status(folder: Path) -> None:
    """Say how far each step is."""
    config = LabelConfig.load(folder)
    table = Table("step", "parts", "done", box=None)
    newest = {facts.name: (facts, done) for facts, done in stages_in(folder)}
    for name, (facts, done) in newest.items():
        table.add_row(name, str(facts.parts), "yes" if done == facts.parts else f"{done}")
    console = Console()
    console.print(f"{config.model}, layer {config.layer}, {config.tokens:,} tokens of {config.source}")
    console.print(table)
    if (folder / CATALOGUE).exists():
        console.print(f"{folder / CATALOGUE} is written.")
    else:
        console.print(f"Go on with: steersman label resume --out {folder}")
