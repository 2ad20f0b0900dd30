"""What a notebook shows of our objects: HTML with its styles inline, and nothing from elsewhere.

Labels and tokens are untrusted text, and escaped. Shades are of one colour whose opacity is the share of
h_max, so that they read on light and dark pages.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from steersman.types import ChoiceAttribution, Feature, Inspection

MAX_EXAMPLES = 6
MAX_FEATURES = 12
SHADE = "214,120,40"
PANEL = "font:14px/1.6 system-ui,sans-serif;max-width:760px"
CELL = "padding:1px 10px 1px 0;text-align:left"
FAINT = "opacity:.7;font-size:12px"


def feature_html(feature: "Feature") -> str:
    """A feature: its label, what is known of it, and where it fires."""
    facts = [f"h_max {feature.h_max:.3g}", f"fires on {feature.density:.2%} of tokens"]
    if feature.rating is not None:
        facts.append(f"label rated {feature.rating:.2f}" + (", above chance" if feature.trusted else ""))
    facts += [flag.replace("_", " ") for flag in feature.flags]
    examples = "".join(
        f'<p style="margin:4px 0;white-space:pre-wrap">{shaded(e.tokens, e.activations, feature.h_max)}</p>'
        for e in feature.examples[:MAX_EXAMPLES]
    )
    return panel(f"<b>{feature.index} · {escape(feature.label)}</b>{faint(', '.join(facts))}{examples}")


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


def shaded(tokens: Sequence[str], activations: Sequence[float], h_max: float) -> str:
    """Tokens, each behind a shade as strong as its share of `h_max`."""
    pieces = []
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
