"""Wire types as text for a terminal."""

from dataclasses import dataclass

from steersman.types import ChoiceAttribution, Example, Feature, FeatureEdit, SteeringReceipt

CONTEXT_TOKENS = 16
"""Shown on either side of an example's peak."""
OVERVIEW_FEATURES = 3
"""Shown of each token in an overview."""
METHODS = {
    "gradient": "what would push each token further if it were stronger, whether it fired or not",
    "gradient_x_activation": "what the model used for each token",
}
_CONTROLS = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"}


@dataclass(frozen=True)
class Style:
    """Marks text up with ANSI codes, if `colour` is on."""

    colour: bool

    def bold(self, text: str) -> str:
        """Stands out."""
        return self._wrap("1", text)

    def dim(self, text: str) -> str:
        """Stands back."""
        return self._wrap("2", text)

    def _wrap(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


def printable(text: str) -> str:
    """`text` without control characters, which could write anywhere on the terminal."""
    return text.translate(_CONTROLS)


def one_line(text: str) -> str:
    """`text` with its line breaks shown as ↵."""
    return printable(text.replace("\n", "↵").replace("\t", " "))


def feature_line(feature: Feature) -> str:
    """A feature in a list."""
    score = "" if feature.score is None else f"{feature.score:6.2f}"
    return f"{feature.index:>7}{score}  {one_line(feature.label)}"


def feature_page(feature: Feature, style: Style) -> str:
    """A feature with its facts and examples."""
    lines = [
        f"{style.bold(f'feature {feature.index}: {one_line(feature.label)}')}  ({feature.label_kind} label)",
        f"h_max {feature.h_max:.4g}, fires on {feature.density:.3%} of tokens",
        *(_example(example, style) for example in feature.examples),
    ]
    if not feature.examples:
        lines.append("no examples")
    return "\n".join(lines)


def edit_line(edit: FeatureEdit, label: str) -> str:
    """An edit in force."""
    return f"{edit.feature:>7}  {edit.mode} {edit.strength:g}  {one_line(label)}"


def receipt_line(receipt: SteeringReceipt) -> str:
    """What the edits of an answer really did."""
    edits = (
        f"{edit.feature} {edit.mode} {edit.strength:g} on {edit.tokens_edited} tokens"
        for edit in receipt.edits
    )
    return f"(steered: {'; '.join(edits)})"


def attribution_overview(choice: ChoiceAttribution) -> str:
    """The strongest features behind each token of an answer."""
    lines = [f"{choice.method}: {METHODS[choice.method]}"]
    for token in choice.tokens:
        strongest = "; ".join(
            f"{feature.feature} {one_line(feature.label)} {feature.attribution:+.3g}"
            for feature in token.features[:OVERVIEW_FEATURES]
        )
        lines.append(f"{token.index:>5}  {one_line(token.token)!r:14}  {strongest}")
    return "\n".join(lines)


def attribution_of_token(choice: ChoiceAttribution, index: int) -> str:
    """All features that were attributed to one token.

    Raises:
        ValueError: The answer has no such token, or it was not attributed.
    """
    token = next((token for token in choice.tokens if token.index == index), None)
    if token is None:
        known = f"0 to {choice.tokens[-1].index}" if choice.tokens else "none"
        raise ValueError(f"The last answer has no token {index} that was attributed ({known}).")
    lines = [
        f"token {index} {one_line(token.token)!r}, objective {token.objective:.3g}",
        f"{choice.method}: {METHODS[choice.method]}",
    ]
    for feature in token.features:
        activation = f"activation {feature.activation:.3g} of {feature.h_max:.3g}"
        lines.append(
            f"{feature.feature:>7} {feature.attribution:+9.3g}  {activation}  {one_line(feature.label)}"
        )
    return "\n".join(lines)


def _example(example: Example, style: Style) -> str:
    start = max(0, example.peak - CONTEXT_TOKENS)
    before = "".join(example.tokens[start : example.peak])
    after = "".join(example.tokens[example.peak + 1 : example.peak + 1 + CONTEXT_TOKENS])
    peak = style.bold(f"«{one_line(example.tokens[example.peak])}»")
    activation = example.activations[example.peak]
    return f"{activation:>8.3g}  {example.role}: {one_line(before)}{peak}{one_line(after)}"
