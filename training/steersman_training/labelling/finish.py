"""The last step: everything together in a catalogue, a summary and a report."""

from pathlib import Path

import msgspec
import numpy as np

from steersman_training.labelling.catalogue import write
from steersman_training.labelling.corpus import SPLITS
from steersman_training.labelling.report import write_report
from steersman_training.labelling.results import Results
from steersman_training.labelling.score_part import ScorePart
from steersman_training.labelling.stage import write_whole
from steersman_training.labelling.summary import RANDOM, Summary, breakdowns_of, lines_of, ratings_of

CATALOGUE, SUMMARY, REPORT = "catalog.duckdb", "summary.json", "report.html"


def finish(results: Results, folder: Path) -> Summary:
    """Write the three files into `folder`, making every step that is not made."""
    job = results.job
    shown = {label.feature: label.id for label in job.labels}
    lines = lines_of(results.scores, shown)
    random = results.random
    lines += lines_of(random.scores, {label.feature: label.id for label in random.job.labels}, of=RANDOM)
    lines.sort(key=lambda line: (line.test, line.judge, line.of))
    breakdowns = []
    for judge in job.config.judges:
        parts = results.score_stage(judge).read_all(ScorePart)
        breakdowns += breakdowns_of(parts, judge, {feature: shown[feature] for feature in job.live})
    ratings = ratings_of(results.scores, job.labels, job.live, job.config.judges[0])
    outputs = list(job.outputs.values())
    live = [job.labels[feature] for feature in job.live]
    summary = Summary(
        features=job.subject.sae.d_sae,
        live=len(job.live),
        unclear=sum(label.draft.kind == "unclear" for label in live),
        failed=sum(label.failure is not None for label in live),
        replaced=sum(label.parent is not None for label in live),
        explainer=job.explainer.name,
        judges=job.config.judges,
        documents=len(job.corpus.documents),
        tokens=job.activations.num_tokens,
        asked_tokens=job.config.tokens,
        splits={name: int((job.corpus.split == number).sum()) for number, name in enumerate(SPLITS)},
        trusted=sum(rating.trusted for rating in ratings),
        lines=lines,
        breakdowns=breakdowns,
        special=len(job.effects),
        echo_groups=len(results.relations.echoes),
        causal={
            name: float(np.mean([getattr(one, name) for one in outputs]))
            for name in ("output_score", "delta_confidence", "coherent_strength")
        }
        if outputs
        else {},
    )
    write(results, ratings, folder / CATALOGUE)
    write_whole(folder / SUMMARY, msgspec.json.format(msgspec.json.encode(summary), indent=1))
    write_report(results, summary, ratings, folder / REPORT)
    return summary
