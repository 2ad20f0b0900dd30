"""What a notebook shows of our objects: HTML with its styles inline, and nothing from elsewhere.

Labels and tokens are untrusted text, and escaped. Shades are of one colour whose opacity is the share of
h_max, so that they read on light and dark pages.
"""

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steersman.types import (
        ChoiceAttribution,
        Contrast,
        Example,
        Feature,
        FeatureDashboard,
        Inspection,
        NextTokens,
        SteeringReceipt,
        Sweep,
    )

MAX_EXAMPLES = 6
MAX_FEATURES = 12
SHADE = "214,120,40"
PANEL = "font:14px/1.6 system-ui,sans-serif;max-width:760px"
CELL = "padding:1px 10px 1px 0;text-align:left"
FAINT = "opacity:.7;font-size:12px"


def feature_html(feature: "Feature") -> str:
    """A feature: its label, what is known of it, and where it fires."""
    return panel(title(feature) + examples_html(feature.examples, feature.h_max))


def dashboard_html(dashboard: "FeatureDashboard") -> str:
    """A feature with its histogram, the words it makes likelier, and where it fires."""
    feature = dashboard.feature
    parts = [title(feature)]
    if dashboard.histogram:
        parts.append(histogram_html(dashboard.histogram, feature.h_max))
    for word, tokens in (("promotes", dashboard.promoted), ("suppresses", dashboard.suppressed)):
        if tokens:
            parts.append(faint(f"{word} {', '.join(repr(each.token) for each in tokens[:MAX_FEATURES])}"))
    return panel("".join(parts) + examples_html(dashboard.examples, feature.h_max))


def histogram_html(counts: Sequence[int], h_max: float) -> str:
    """Bars, as high as the logarithm of their counts, for equal bins of 0 to `h_max`."""
    most = math.log1p(max(0, *counts)) or 1.0
    step = h_max / len(counts)
    bars = "".join(
        f'<span title="{place * step:.3g} to {(place + 1) * step:.3g}: {count} tokens" style="display:'
        f"inline-block;width:10px;margin-right:1px;height:{40 * math.log1p(max(0, count)) / most:.0f}px;"
        f'background:rgba({SHADE},.7)"></span>'
        for place, count in enumerate(counts)
    )
    return f"<div>{bars}</div>" + faint(f"tokens by activation, 0 to {h_max:.3g}, logarithmic")


def title(feature: "Feature") -> str:
    """A feature's label and what is known of it."""
    facts = [f"h_max {feature.h_max:.3g}", f"fires on {feature.density:.2%} of tokens"]
    if feature.score is not None:
        facts.append(f"score {feature.score:.3f}")
    if feature.rating is not None:
        facts.append(f"label rated {feature.rating:.2f}" + (", above chance" if feature.trusted else ""))
    facts += [flag.replace("_", " ") for flag in feature.flags]
    return f"<b>{feature.index} · {escape(feature.label)}</b>{faint(', '.join(facts))}"


def examples_html(examples: Iterable["Example"], h_max: float) -> str:
    """Pieces of chats, shaded where the feature fires."""
    return "".join(
        f'<p style="margin:4px 0;white-space:pre-wrap">{shaded(e.tokens, e.activations, h_max)}</p>'
        for e in list(examples)[:MAX_EXAMPLES]
    )


def features_html(features: Iterable["Feature"]) -> str:
    """Several features, as a table."""
    rows = [
        (f.index, f.label, "" if f.score is None else f"{f.score:.3f}", f"{f.h_max:.3g}", f"{f.density:.2%}")
        for f in features
    ]
    return panel(table(("feature", "label", "score", "h_max", "density"), rows))


def inspection_html(inspection: "Inspection") -> str:
    """A conversation shaded by its strongest feature, and the features that fire most."""
    top = inspection.features[:MAX_FEATURES]
    text = ""
    if top and inspection.tokens:
        first = top[0]
        text = faint(f"shaded by {first.feature} · {first.label}") + (
            '<p style="white-space:pre-wrap">'
            + shaded([t.token for t in inspection.tokens], inspection.column(first.feature), first.h_max)
            + "</p>"
        )
    rows = [(f.feature, f.label, f"{f.max:.3g}", f"{f.mean:.3g}", f.count) for f in top]
    return panel(text + table(("feature", "label", "max", "mean", "tokens"), rows))


def attribution_html(attribution: "ChoiceAttribution") -> str:
    """The tokens of an answer shaded by their objective, and the features behind all of them."""
    tokens = attribution.tokens
    most = max((abs(token.objective) for token in tokens), default=1.0) or 1.0
    text = shaded([t.token for t in tokens], [max(0.0, t.objective) for t in tokens], most)
    rows = [
        (f.feature, f.label, f"{f.attribution:+.3g}", f"{f.activation:.3g}", f"{f.h_max:.3g}")
        for f in attribution.top(MAX_FEATURES)
    ]
    names = ("feature", "label", "attribution", "activation", "h_max")
    return panel(
        faint(attribution.method) + f'<p style="white-space:pre-wrap">{text}</p>' + table(names, rows)
    )


def contrast_html(contrast: "Contrast") -> str:
    """The features that tell two sets apart, a table a side."""
    names = ("feature", "label", "score", "AUC", "held out")
    parts: list[str] = []
    for side, found in (("more in the first set", contrast.positive), ("in the second", contrast.negative)):
        rows = [
            (f.feature, f.label, f"{f.score:+.2f}", f"{f.auc:.2f}", number(f.held_out_auc)) for f in found
        ]
        parts.append(faint(side) + table(names, rows[:MAX_FEATURES]))
    return panel("".join(parts))


def next_tokens_html(tokens: "NextTokens") -> str:
    """Tokens by their log probability, with what edits changed."""
    facts = [f"entropy {tokens.entropy:.2f} nats"]
    if tokens.kl_from_plain is not None:
        facts.append(f"{tokens.kl_from_plain:.3f} nats from the plain distribution")
    rows = [(repr(t.token), f"{t.logprob:.2f}", number(t.difference)) for t in tokens.data]
    return panel(faint(", ".join(facts)) + table(("token", "log probability", "difference"), rows))


def sweep_html(sweep: "Sweep") -> str:
    """Each set of edits and what was answered under it."""
    rows = [
        (
            "; ".join(f"{e.feature} {e.mode} {e.strength:g}" for e in row.steering.edits)
            if row.steering
            else "plain",
            number(row.plain_logprob),
            row.message.content or "",
        )
        for row in sweep.data
    ]
    return panel(table(("edits", "plain log probability", "answer"), rows))


def receipt_html(receipt: "SteeringReceipt") -> str:
    """What each edit really did."""
    rows = [
        (e.feature, e.label, e.mode, f"{e.strength:g}", e.tokens_edited, f"{e.mean_activation_before:.3g}")
        for e in receipt.edits
    ]
    names = ("feature", "label", "mode", "strength", "tokens", "mean before")
    return panel(faint(f"{receipt.bundle}, seed {receipt.seed}") + table(names, rows))


def number(value: float | None) -> str:
    """A figure that may not be there."""
    return "" if value is None else f"{value:.3g}"


def shaded(tokens: Sequence[str], activations: Sequence[float], h_max: float) -> str:
    """Tokens, each behind a shade as strong as its share of `h_max`."""
    pieces: list[str] = []
    for token, activation in zip(tokens, activations, strict=True):
        opacity = min(1.0, activation / (h_max or 1.0)) * 0.7
        style = f' style="background:rgba({SHADE},{opacity:.2f})"' if activation > 0 else ""
        pieces.append(f'<span title="{activation:.3g}"{style}>{escape(token)}</span>')
    return "".join(pieces)


def table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table of text."""
    head = "".join(f'<th style="{CELL}">{escape(name)}</th>' for name in names)
    body = "".join(
        "<tr>" + "".join(f'<td style="{CELL}">{escape(str(cell))}</td>' for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def panel(content: str) -> str:
    """What all of it stands in."""
    return f'<div style="{PANEL}">{content}</div>'


def faint(text: str) -> str:
    """A side note."""
    return f'<div style="{FAINT}">{escape(text)}</div>'
