"""Samples as a language model is shown them: as data that cannot pass for anything else.

Samples are strangers' texts, and some of them give orders. Each is a JSON string in which angle brackets
and guillemets are escaped, so no sample can close the tag that it stands in, open another, break its
line, or mark a token as if we had.
"""

import json
from collections.abc import Iterable, Sequence

from steersman_training.labelling.protocols import Excerpt, FeatureEvidence, Passage, Weighted

NUM_STRATA = 5
ESCAPED = {ord(sign): f"\\u{ord(sign):04x}" for sign in "<>«»\u2028\u2029"}
NUM_WORDS = 12


def quoted(text: str) -> str:
    """A JSON string."""
    return f'"{_inside(text)}"'


def tagged(tag: str, lines: Iterable[str]) -> str:
    """Lines of data between tags; nothing if there are none."""
    inside = "\n".join(lines)
    return f"<{tag}>\n{inside}\n</{tag}>\n" if inside else ""


def passage_line(passage: Passage, letter: str | None = None) -> str:
    """A text without activations; marked tokens stand in guillemets."""
    marked = set(passage.marked)
    text = "".join(
        f"«{_inside(token)}»" if index in marked else _inside(token)
        for index, token in enumerate(passage.tokens)
    )
    return f'"{text}"' if letter is None else f'{letter}: "{text}"'


def excerpt_line(excerpt: Excerpt, h_max: float) -> str:
    """A text with activations: `«token|7»` fires at 7 tenths of the feature's largest, rounded up."""
    pieces = []
    for token, activation in zip(excerpt.tokens, excerpt.activations, strict=True):
        tenths = min(10, -int(-10 * activation // h_max)) if h_max > 0 and activation > 0 else 0
        pieces.append(f"«{_inside(token)}|{tenths}»" if tenths else _inside(token))
    range_ = ""
    if excerpt.stratum is not None:
        low, high = (round(100 * (excerpt.stratum + step) / NUM_STRATA) for step in (0, 1))
        range_ = f'"peak": "{low} to {high} % of the largest", '
    return f'{{{range_}"role": {quoted(excerpt.role)}, "text": "{"".join(pieces)}"}}'


def statistics_lines(evidence: FeatureEvidence) -> list[str]:
    """What was counted, over many more texts than are shown."""
    roles = ", ".join(f"{role} {share:.0%}" for role, share in evidence.roles.items() if share >= 0.01)
    base = ", ".join(f"{role} {share:.0%}" for role, share in evidence.role_base.items() if share >= 0.01)
    lines = [
        f"fires on {evidence.density:.3%} of all tokens, in {evidence.num_documents} documents",
        f"its activation by the message's role: {roles or 'none'}; all tokens: {base or 'none'}",
        f"its activation on special tokens, punctuation and blanks: {evidence.special_share:.0%}",
        f"its activation in the first tenth of the positions: {evidence.early_share:.0%}",
    ]
    words = {
        "words it stands out on": evidence.firing_words,
        "words that stand out before it": evidence.context_words,
        "the word just before": evidence.previous_words,
        "next tokens it promotes, by the logit lens": evidence.promoted,
        "of these, those that do come next": evidence.next_tokens,
        "next tokens it suppresses, by the logit lens": evidence.suppressed,
    }
    return lines + [f"{what}: {_words(found)}" for what, found in words.items() if found]


def effect_lines(evidence: FeatureEvidence) -> list[str]:
    """What the feature was seen to do to the next token."""
    effects = evidence.effects
    if effects is None:
        return []
    moved = {
        "promoted most when it is raised where it was silent": effects.raised,
        "suppressed most then": effects.lowered,
        "less likely when it is removed where it fires": effects.lost,
        "more likely then": effects.gained,
    }
    return [f"{what}: {_words(found)}" for what, found in moved.items() if found]


def _words(found: Sequence[Weighted]) -> str:
    return ", ".join(quoted(word.text) for word in found[:NUM_WORDS])


def _inside(text: str) -> str:
    """A text as it stands within a JSON string."""
    return json.dumps(text, ensure_ascii=False)[1:-1].translate(ESCAPED)
