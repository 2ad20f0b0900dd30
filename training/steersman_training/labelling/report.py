"""The job's report: one page that needs nothing else, with every figure's baselines beside it."""

import html
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from steersman_training.labelling.results import Results
from steersman_training.labelling.scoring import Score
from steersman_training.labelling.stage import write_whole
from steersman_training.labelling.summary import NOT_LABELS, Line, Rating, Summary

WORST = 25
BINS = 20
STYLE = """
:root {
  color-scheme: light dark;
  --ink: #1c2430; --dim: #667085; --line: #d6dbe3; --bar: #3b6fd4; --null: #b6bcc8;
}
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ef; --dim: #98a2b3; --line: #3a4250; --bar: #7aa5ff; --null: #596273; }
}
body {
  font: 15px/1.5 system-ui, sans-serif; color: var(--ink);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem;
}
h1 { font-size: 1.5rem }
h2 { font-size: 1.15rem; margin-top: 2.2rem }
p, small { color: var(--dim) }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums }
td, th {
  text-align: left; padding: .25rem .6rem .25rem 0;
  border-bottom: 1px solid var(--line); vertical-align: top;
}
th { color: var(--dim); font-weight: 500 }
.null td { color: var(--dim) }
.charts { display: flex; flex-wrap: wrap; gap: 1.5rem }
figure { margin: 0 }
figcaption { color: var(--dim) }
mark { background: none; color: inherit; font-weight: 700; border-bottom: 2px solid var(--bar) }
svg text { fill: var(--dim); font-size: 11px }
"""


def write_report(results: Results, summary: Summary, ratings: Sequence[Rating], path: Path) -> None:
    """Write the page."""
    job = results.job
    judge = job.config.judges[0]
    ranked = sorted(ratings, key=lambda rating: (-rating.score, rating.feature))
    parts = [
        f"<h1>Labels of {summary.features:,} features</h1>",
        f"<p>{html.escape(job.subject.host.name)}, layer {job.subject.host.layer}. {summary.tokens:,} tokens"
        f" of {summary.documents:,} documents of {html.escape(job.config.source)}:"
        f" {', '.join(f'{n:,} {name}' for name, n in summary.splits.items())}. Explained by"
        f" {html.escape(summary.explainer)}; {summary.live:,} features fired; {summary.unclear:,} labels say"
        f" unclear; {summary.replaced:,} were replaced in refinement; {summary.trusted:,} are trusted.</p>",
        "<h2>All features</h2>",
        "<p>Means over features with 95 % intervals, on test documents that no explainer saw. Grey lines are"
        " baselines: what the same trials give without a label of the feature.</p>",
        _lines(summary.lines),
        "<h2>Distributions</h2>",
        '<div class="charts">',
        *(_chart(results, test, judge) for test in ("contrastive", "stringent", "detection", "fuzzing")),
        "</div>",
        "<h2>By distractor and by activation</h2>",
        _breakdowns(summary),
        f"<h2>Best {WORST}</h2>",
        _features(results, ranked[:WORST]),
        f"<h2>Worst {WORST}</h2>",
        _features(results, ranked[::-1][:WORST]),
    ]
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width"><title>Labels</title>'
        f"<style>{STYLE}</style>{''.join(parts)}</html>"
    )
    write_whole(path, page.encode())


def _table(head: Sequence[str], rows: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Rows are a class and cells of HTML."""
    cells = "".join(f"<th>{name}</th>" for name in head)
    body = "".join(
        f'<tr class="{kind}">' + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for kind, row in rows
    )
    return f"<table><tr>{cells}</tr>{body}</table>"


def _lines(lines: Sequence[Line]) -> str:
    rows = []
    for line in lines:
        beats = "" if line.above_chance is None else f"{line.above_chance:.0%}"
        rows.append(
            (
                "null" if line.of in NOT_LABELS else "",
                (
                    line.test,
                    line.judge,
                    line.of,
                    f"{line.mean:.3f} <small>{line.low:.3f}–{line.high:.3f}</small>",
                    f"{line.chance:.2f}",
                    beats,
                    f"{line.features:,}",
                    f"{line.asked:,}",
                    f"{line.failures:,}",
                ),
            )
        )
    head = ("test", "judge", "of", "mean", "chance", "above chance", "features", "trials", "failures")
    return _table(head, rows)


def _breakdowns(summary: Summary) -> str:
    rows = [
        ("", (b.test, b.judge, f"{b.by} {html.escape(b.value)}", f"{b.share:.3f}", f"{b.answered:,}"))
        for b in summary.breakdowns
    ]
    return _table(("test", "judge", "", "share right", "trials"), rows)


def _chart(results: Results, test: str, judge: str) -> str:
    """Two outlines of how many features score how much: with their labels and with shuffled ones."""
    labels = results.job.labels
    scores = [s for s in results.scores if s.test == test and s.judge == judge and s.value == s.value]
    own = [s.value for s in scores if s.label == labels[s.feature].id]
    other = [s.value for s in scores if ":" in s.label]
    width, height = 220, 110
    svg = []
    for values, colour, opacity in ((other, "var(--null)", 0.9), (own, "var(--bar)", 0.65)):
        counts = np.histogram(values, BINS, (0, 1))[0] / max(1, len(values))
        for place, share in enumerate(counts.tolist()):
            tall = share * height / 0.35
            x = place * width / BINS
            svg.append(
                f'<rect x="{x:.1f}" y="{max(0.0, height - tall):.1f}" width="{width / BINS - 1:.1f}"'
                f' height="{min(tall, height):.1f}" fill="{colour}" fill-opacity="{opacity}"/>'
            )
    chance = (scores[0].chance if scores else 0.5) * width
    svg.append(
        f'<line x1="{chance}" x2="{chance}" y1="0" y2="{height}" stroke="var(--dim)" stroke-dasharray="3 3"/>'
    )
    svg.append(f'<text x="0" y="{height + 14}">0</text><text x="{width - 6}" y="{height + 14}">1</text>')
    return (
        f'<figure><svg width="{width}" height="{height + 18}" role="img"'
        f' aria-label="Scores of {test}">{"".join(svg)}</svg>'
        f"<figcaption>{test}: labels, and shuffled ones in grey</figcaption></figure>"
    )


def _features(results: Results, ratings: Sequence[Rating]) -> str:
    scores: dict[int, dict[str, Score]] = {}
    judge = results.job.config.judges[0]
    for score in results.scores:
        if score.judge == judge and score.label == results.job.labels[score.feature].id:
            scores.setdefault(score.feature, {})[score.test] = score
    rows = []
    for rating in ratings:
        label = results.job.labels[rating.feature]
        own = scores.get(rating.feature, {})
        cells = [
            f"{own[t].value:.2f}" if t in own else "–" for t in ("contrastive", "stringent", "detection")
        ]
        rows.append(
            (
                "",
                (
                    str(rating.feature),
                    html.escape(label.draft.text),
                    label.draft.kind,
                    *cells,
                    _example(results, rating.feature),
                ),
            )
        )
    return _table(
        ("feature", "label", "kind", "contrastive", "stringent", "detection", "highest example"), rows
    )


def _example(results: Results, feature: int) -> str:
    evidence = results.job._evidence_of(feature)
    if not evidence.examples:
        return ""
    example = evidence.examples[0]
    low = max(0, example.peak - 12)
    before = html.escape("".join(example.tokens[low : example.peak]))
    after = html.escape("".join(example.tokens[example.peak + 1 : example.peak + 6]))
    return f"<small>{before}<mark>{html.escape(example.tokens[example.peak])}</mark>{after}</small>"
