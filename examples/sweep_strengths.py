"""Answer one question at many strengths of a feature, and plot how far each strays from the plain model.

Start a server (`steersman serve`), then run this; give it a path to have the plot as SVG, too. Plotted is the
mean log probability that the unsteered model gives each answer: lower is further from what it would say.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from steersman import Client

MESSAGES = [{"role": "user", "content": "What should I do this weekend?"}]
STRENGTHS = [-0.8, -0.4, 0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
WIDTH = 40
FONT = 'font-family="sans-serif" font-size="12" fill="#777"'
MIDDLE = 'text-anchor="middle"'


def main(client: Client, plot: Path | None = None) -> None:
    food = client.features.search("food", limit=1).data[0]
    print(f"Feature {food.index}: {food.label}\n")
    sets = [[food.edit(strength)] if strength else [] for strength in STRENGTHS]
    sweep = client.sweeps.create(messages=MESSAGES, sweep=sets, temperature=0, max_tokens=24, score=True)
    logprobs = [row.plain_logprob or 0.0 for row in sweep.data]
    for strength, logprob in zip(STRENGTHS, logprobs, strict=True):
        print(f"{strength:+.1f}  {logprob:6.2f}  {'█' * round(WIDTH * logprob / min(logprobs))}")
    print()
    for strength, row in zip(STRENGTHS, sweep.data, strict=True):
        print(f"{strength:+.1f}  {row.message.content!r}")
    if plot is not None:
        plot.write_text(svg(STRENGTHS, logprobs, f"strength of feature {food.index}"), encoding="utf-8")


def svg(xs: Sequence[float], ys: Sequence[float], name: str) -> str:
    """A line with dots; the axis of `ys` ends at 0."""
    low, span = min(ys), max(xs) - min(xs)
    points = [(60 + 400 * (x - min(xs)) / span, 20 + 180 * y / low) for x, y in zip(xs, ys, strict=True)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    marks = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>\n<text x="{x:.1f}" y="218" {MIDDLE}>{at:+.1f}</text>\n'
        for (x, y), at in zip(points, xs, strict=True)
    )
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 480 250" {FONT}>
<text x="66" y="14">mean log probability under the plain model</text>
<text x="52" y="24" text-anchor="end">0</text>
<text x="52" y="204" text-anchor="end">{low:.1f}</text>
<path d="M60 20V200H460" fill="none" stroke="#777"/>
<polyline points="{line}" fill="none" stroke="#d67828" stroke-width="2"/>
{marks}<text x="260" y="240" {MIDDLE}>{name}</text>
</svg>
"""


if __name__ == "__main__":
    with Client() as client:
        main(client, Path(sys.argv[1]) if len(sys.argv) > 1 else None)
