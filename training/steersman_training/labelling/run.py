"""What `steersman label` does: plan, run, status."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from steersman_catalog.minilm import MiniLM
from steersman_engine.text_embedder import pull_embedder
from steersman_training.labelling.config import LabelConfig
from steersman_training.labelling.finish import CATALOGUE, REPORT, finish
from steersman_training.labelling.job import Job
from steersman_training.labelling.plan import Asked, make_plan
from steersman_training.labelling.progress import shown_progress
from steersman_training.labelling.results import FREE, Results
from steersman_training.labelling.stage import stages_in
from steersman_training.labelling.statistical import StatisticalExplainer
from steersman_training.labelling.subject import Subject
from steersman_training.labelling.summary import SHOWN

RULES = "rules"


def run(folder: Path, config: LabelConfig) -> None:
    """Make what is missing of a job; the same call goes on with one that was stopped.

    Raises:
        ValueError: It may cost more than is allowed.
    """
    config.save(folder)
    subject = Subject.open(config)
    embedder = MiniLM.load(pull_embedder(Path(config.cache_dir)))
    with backends(folder, config) as asked, shown_progress() as progress:
        if asked.paid:
            _check_price(make_plan(folder, config, subject, asked).total.usd_high, config)
        job = Job(
            folder,
            config,
            subject,
            embedder.embed,
            explainer=asked.explainer,
            paid_judge=asked.judge,
            moderator=asked.moderator,
            progress=progress,
        )
        summary = finish(Results(job), folder)
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


def plan(folder: Path, config: LabelConfig) -> None:
    """Say what a job takes, without beginning it.

    Raises:
        ValueError: It may cost more than is allowed.
    """
    subject = Subject.open(config)
    with backends(folder, config) as asked:
        made = make_plan(folder, config, subject, asked)
    table = Table("step", "requests", "tokens in", "tokens out", "dollars", "at most", "minutes", box=None)
    table.columns[0].no_wrap = True
    for name, step in (*made.steps.items(), ("all", made.total)):
        counts = (f"{n:,}" for n in (step.requests, step.input_tokens, step.output_tokens))
        table.add_row(name, *counts, f"{step.usd:.2f}", f"{step.usd_high:.2f}", f"{step.seconds / 60:,.0f}")
    console = Console()
    console.print(
        f"{made.features:,} features from {made.tokens:,} tokens, read at about"
        f" {made.tokens_per_s:,.0f} a second."
    )
    console.print(table)
    _check_price(made.total.usd_high, config)


@contextmanager
def backends(folder: Path, config: LabelConfig) -> Iterator[Asked]:
    """The explainer; and the judge and the moderator that are paid by the question, if any are named.

    Raises:
        ValueError: It names a backend that there is not, or two of them.
    """
    named = (config.explainer, *config.judges, config.moderator)
    paid = {name for name in named if name not in (*FREE, "statistical", RULES)}
    if not paid:
        yield Asked(StatisticalExplainer())
        return
    from steersman_training.labelling.ledger import Ledger  # imports SDKs that offline jobs do without
    from steersman_training.labelling.ledger_rows import LEDGER_FILE
    from steersman_training.labelling.llm_backends import BACKENDS, LLMBackends, LLMConfig

    if len(paid) > 1 or not paid <= set(BACKENDS):
        raise ValueError(
            f"{', '.join(sorted(paid))}: choose one of {', '.join(BACKENDS)}, beside statistical, embedding,"
            " lexical and rules."
        )
    wanted: dict[str, Any] = {**config.llm, "backend": paid.pop()}
    with (
        Ledger(folder / LEDGER_FILE, config.max_usd) as ledger,
        LLMBackends(msgspec.convert(wanted, LLMConfig), ledger, folder) as opened,
    ):
        yield Asked(
            StatisticalExplainer() if config.explainer == "statistical" else opened.explainer(),
            opened.judge() if set(config.judges) - set(FREE) else None,
            None if config.moderator == RULES else opened.moderator(),
        )


def _check_price(usd: float, config: LabelConfig) -> None:
    if usd > config.max_usd:
        raise ValueError(
            f"This may cost up to ${usd:,.2f}, and --max-usd allows ${config.max_usd:,.2f}: raise it, or"
            " label fewer with --features."
        )


def show_status(folder: Path) -> None:
    """Say how far each step is."""
    config = LabelConfig.load(folder)
    table = Table("step", "parts", "done", box=None)
    newest = {facts.name: (facts, done) for facts, done in stages_in(folder)}
    for name, (facts, done) in newest.items():
        table.add_row(name, str(facts.parts), "yes" if done == facts.parts else str(done))
    console = Console()
    console.print(f"{config.model}, layer {config.layer}, {config.tokens:,} tokens of {config.source}")
    console.print(table)
    if (folder / CATALOGUE).exists():
        console.print(f"{folder / CATALOGUE} is written.")
    else:
        console.print(f"Go on with: steersman label resume --out {folder}")
