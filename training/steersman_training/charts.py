"""Small charts as inline SVG: no script, no fonts, light and dark by the page's CSS variables.

The page that holds them defines `--ink`, `--faint`, `--grid` and a colour `--c0`, `--c1`, … for each series.
"""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 460, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 18, 30, 34
MOST_POINTS = 400
NUM_COLOURS = 6

Points = Sequence[tuple[float, float]]


class Axis(NamedTuple):
    """A range of values and where it lies on the paper."""

    low: float
    high: float
    begin: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value lies."""
        low, high = (math.log10(self.low), math.log10(self.high)) if self.log else (self.low, self.high)
        value = math.log10(max(value, 1e-300)) if self.log else value
        share = (value - low) / (high - low) if high > low else 0.5
        return self.begin + min(1.0, max(0.0, share)) * (self.end - self.begin)

    def ticks(self) -> list[float]:
        """Round values within the range."""
        if self.log:
            return _log_ticks(self.low, self.high)
        step = _round_step((self.high - self.low) / 4)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [index * step for index in range(first, last + 1)]


def line_chart(
    title: str, series: Mapping[str, Points], *, x_label: str, log: bool = False, low: float | None = None
) -> str:
    """Curves, one for each name, in the colours of their order; `low` is where the axis begins."""
    drawn = {name: thinned([p for p in points if math.isfinite(p[1]) and (p[1] > 0 or not log)])
             for name, points in series.items()}  # fmt: skip
    every = [point for points in drawn.values() for point in points]
    if not every:
        return ""
    x = Axis(min(p[0] for p in every), max(p[0] for p in every), LEFT, WIDTH - RIGHT)
    y = _y_axis([p[1] for p in every], log=log, low=low)
    curves = [
        f'<polyline class="s{index % NUM_COLOURS}" points="{_path(points, x, y)}">'
        f"<title>{escape(name)}</title></polyline>"
        for index, (name, points) in enumerate(drawn.items())
    ]
    return _chart(title, x, y, x_label, curves)


def step_chart(
    title: str, series: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, x_label: str
) -> str:
    """Histograms as stepped outlines: for each name its edges and, between them, its heights."""
    if not series:
        return ""
    edges = [edge for edges, _ in series.values() for edge in edges]
    x = Axis(min(edges), max(edges), LEFT, WIDTH - RIGHT)
    y = _y_axis([height for _, heights in series.values() for height in heights], low=0.0)
    curves = []
    for index, (name, (edge, heights)) in enumerate(series.items()):
        corners = [(edge[0], 0.0)]
        for left, right, height in zip(edge, edge[1:], heights, strict=False):
            corners += [(left, height), (right, height)]
        corners.append((edge[-1], 0.0))
        curves.append(
            f'<polyline class="s{index % NUM_COLOURS} filled" points="{_path(corners, x, y)}">'
            f"<title>{escape(name)}</title></polyline>"
        )
    return _chart(title, x, y, x_label, curves)


def thinned(points: Points) -> list[tuple[float, float]]:
    """At most `MOST_POINTS` points, means of neighbours; the last stays."""
    size = math.ceil(len(points) / MOST_POINTS)
    if size <= 1:
        return list(points)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    means = [
        (sum(p[0] for p in group) / len(group), sum(p[1] for p in group) / len(group)) for group in groups
    ]
    return [*means[:-1], points[-1]]


def number(value: float) -> str:
    """A value as short as an axis wants it."""
    if value and (abs(value) >= 1e4 or abs(value) < 1e-3):
        for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if abs(value) >= size:
                return f"{value / size:g}{letter}"
        return f"{value:.0e}".replace("e-0", "e-")
    return f"{value:g}" if abs(value) >= 1 else f"{value:.4f}".rstrip("0").rstrip(".") or "0"


def _y_axis(values: list[float], *, log: bool = False, low: float | None = None) -> Axis:
    smallest, largest = min(values), max(values)
    if log:
        return Axis(smallest / 1.1, largest * 1.1, HEIGHT - BOTTOM, TOP, log=True)
    smallest = smallest if low is None else low
    margin = (largest - smallest) * 0.06 or abs(largest) * 0.1 or 1.0
    return Axis(smallest if low is not None else smallest - margin, largest + margin, HEIGHT - BOTTOM, TOP)


def _chart(title: str, x: Axis, y: Axis, x_label: str, curves: list[str]) -> str:
    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    parts.append(f'<text class="title" x="2" y="16">{escape(title)}</text>')
    for tick in y.ticks():
        at = y.at(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(
            f'<text class="tick" text-anchor="end" x="{LEFT - 6}" y="{at + 3.5:.1f}">{number(tick)}</text>'
        )
    for tick in x.ticks():
        at = x.at(tick)
        parts.append(
            f'<text class="tick" text-anchor="middle" x="{at:.1f}" y="{HEIGHT - BOTTOM + 15}">'
            f"{number(tick)}</text>"
        )
    parts.append(
        f'<text class="tick" text-anchor="end" x="{WIDTH - RIGHT}" y="{HEIGHT - 4}">{escape(x_label)}</text>'
    )
    return "".join([*parts, *curves, "</svg>"])


def _path(points: Points, x: Axis, y: Axis) -> str:
    return " ".join(f"{x.at(px):.1f},{y.at(py):.1f}" for px, py in points)


def _round_step(rough: float) -> float:
    """The next larger of 1, 2, 2.5, 5 times a power of ten."""
    if rough <= 0:
        return 1.0
    power = 10 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))


def _log_ticks(low: float, high: float) -> list[float]:
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if high / low < 200 else (1,)
    return [value for power in powers for factor in factors if low <= (value := factor * 10.0**power) <= high]
