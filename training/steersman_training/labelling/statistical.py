"""An explainer that understands nothing and counts words: offline, free, and honest about it."""

from collections.abc import Iterator, Sequence

from steersman_catalog.terms import terms_of
from steersman_training.labelling.protocols import (
    Confidence,
    Effects,
    Estimate,
    Excerpt,
    Failure,
    FeatureEvidence,
    LabelDraft,
    LabelKind,
    Weighted,
)

LABEL_WORDS = 5
CONTEXT_WORDS = 3
LONGEST_WORD = 24
"""A longer word is cut in a label."""
ALONE_SHARE = 0.9
"""A word with a larger share of a feature's activation is the label, but for its context."""
CONTEXT_Z = 8.0
"""A word before a firing that stands out less is not worth naming."""
SEARCHED = 20
FEW_DOCUMENTS = 3
SPECIAL_SHARE = 0.7
"""From here on, words tell little and what the feature does tells more."""
EARLY_SHARE, EARLY_BITS = 0.8, 0.002
ONE_ROLE, ROLE_BASE = 0.95, 0.8
"""A role is named if the activation is nearly all in it, and not nearly all text is."""


class StatisticalExplainer:
    """Labels from words that stand out, position, role and, for signs, what the feature does."""

    name = "statistical"
    version = "2"
    batch_size = 256

    def explain(self, batch: Sequence[FeatureEvidence]) -> Iterator[tuple[int, LabelDraft | Failure]]:
        """Each feature's label."""
        for evidence in batch:
            yield evidence.feature, self.label(evidence)

    def estimate(self, sample: Sequence[FeatureEvidence], total: int) -> Estimate:
        """It counts what is counted already."""
        return Estimate(seconds=total * 1e-4)

    def label(self, evidence: FeatureEvidence) -> LabelDraft:
        """One feature's label, or a better one where `evidence.revision` says what is wrong."""
        if evidence.revision is not None:
            return _revised(evidence)
        if evidence.effects is not None:
            return _causal(evidence, evidence.effects)
        words = [word for word in evidence.firing_words if word.text]
        if not words or evidence.num_documents < FEW_DOCUMENTS:
            return _unclear(evidence)
        heaviest = max(words, key=lambda word: word.share)
        alone = heaviest.share > ALONE_SHARE
        chosen = [heaviest] if alone else words[:LABEL_WORDS]
        text = ", ".join(named(word.text) for word in chosen)
        context = _context(evidence, {word.text for word in chosen})
        if alone and context:
            text += " after " + ", ".join(named(word.text) for word in context)
        return _draft(
            evidence, text + _where(evidence), _kind(evidence, chosen, alone=alone, context=bool(context))
        )


def named(word: str) -> str:
    """A word as a label shows it: cut if long, in quotation marks if it is only signs."""
    short = word if len(word) <= LONGEST_WORD else f"{word[: LONGEST_WORD - 1]}…"
    return short if any(character.isalnum() for character in word) else f"“{short}”"


def is_special(evidence: FeatureEvidence) -> bool:
    """Whether a feature lives on special tokens, the template or signs, so that words tell little."""
    return evidence.special_share >= SPECIAL_SHARE and bool(evidence.examples)


def _draft(evidence: FeatureEvidence, text: str, kind: LabelKind) -> LabelDraft:
    return LabelDraft(
        text=text,
        kind=kind,
        confidence=_confidence(evidence),
        words=tuple(_search_words(evidence)),
        example_ids=tuple(example.id for example in evidence.examples),
    )


def _unclear(evidence: FeatureEvidence) -> LabelDraft:
    """Says what it saw, and that it proves nothing."""
    seen = ", ".join(named(word.text) for word in evidence.firing_words[:CONTEXT_WORDS])
    return _draft(evidence, f"unclear ({seen})" if seen else "unclear", "unclear")


def _causal(evidence: FeatureEvidence, effects: Effects) -> LabelDraft:
    """By what it does: tokens it makes likelier, and where it sits."""
    raised = list(dict.fromkeys(shown for token in effects.raised if (shown := _token(token.text))))[
        :LABEL_WORDS
    ]
    sits = [named(word.text) for word in evidence.firing_words[:CONTEXT_WORDS]]
    text = "leads to " + ", ".join(raised) if raised else "no clear effect"
    if sits:
        text += "; on " + ", ".join(sits)
    return _draft(evidence, text + _where(evidence), "output" if raised else "unclear")


def _token(text: str) -> str:
    shown = text.strip()
    return named(shown) if shown and "�" not in shown else ""


def _context(evidence: FeatureEvidence, taken: set[str]) -> list[Weighted]:
    found = [
        word
        for word in evidence.context_words
        if word.weight >= CONTEXT_Z and word.text not in taken and any(c.isalnum() for c in word.text)
    ]
    return found[:CONTEXT_WORDS]


def _where(evidence: FeatureEvidence) -> str:
    """Place and role, where they say something."""
    facts = []
    if evidence.early_share >= EARLY_SHARE and evidence.position_bits >= EARLY_BITS:
        facts.append("at the start")
    for role, share in evidence.roles.items():
        if share >= ONE_ROLE and evidence.role_base.get(role, 0.0) < ROLE_BASE:
            facts.append(f"{role} only")
    return f" ({', '.join(facts)})" if facts else ""


def _kind(evidence: FeatureEvidence, chosen: Sequence[Weighted], *, alone: bool, context: bool) -> LabelKind:
    if evidence.early_share >= EARLY_SHARE and evidence.position_bits >= EARLY_BITS:
        return "position"
    if alone:
        return "context" if context else "token"
    if not any(character.isalnum() for word in chosen for character in word.text):
        return "syntax"
    return "token" if sum(word.share for word in chosen) >= 0.8 else "topic"


def _confidence(evidence: FeatureEvidence) -> Confidence:
    top = max((word.weight for word in evidence.firing_words), default=0.0)
    if evidence.num_documents >= 30 and top >= 10:
        return "high"
    return "mid" if evidence.num_documents >= 10 else "low"


def _search_words(evidence: FeatureEvidence) -> Iterator[Weighted]:
    top = max((word.weight for word in evidence.firing_words), default=1.0)
    for word in evidence.firing_words[:SEARCHED]:
        yield Weighted(word.text, max(0.01, min(1.0, word.weight / top)), word.share)


def _revised(evidence: FeatureEvidence) -> LabelDraft:
    """Drop words that mislead, add words that were missing, by the texts that went wrong.

    Where nothing went wrong in a way that words can mend, it is the same label with more words.
    """
    assert evidence.revision is not None
    missed, mistaken = _terms(evidence.revision.missed), _terms(evidence.revision.mistaken)
    pool = [*evidence.firing_words[:SEARCHED], *_context(evidence, set())]
    scored = []
    for place, word in enumerate(pool):
        terms = terms_of(word.text)
        gain = sum(missed.get(term, 0) - mistaken.get(term, 0) for term in terms) / max(1, len(terms))
        scored.append((gain - 0.1 * place, -place, word.text))
    chosen = [text for _, _, text in sorted(scored, reverse=True)[: LABEL_WORDS + CONTEXT_WORDS]]
    if not chosen:
        return _unclear(evidence)
    text = ", ".join(named(word) for word in dict.fromkeys(chosen))
    return _draft(evidence, text, "topic" if evidence.effects is None else "mixed")


def _terms(excerpts: Sequence[Excerpt]) -> dict[str, int]:
    """In how many of some texts each term is."""
    counts: dict[str, int] = {}
    for excerpt in excerpts:
        for term in set(terms_of("".join(excerpt.tokens))):
            counts[term] = counts.get(term, 0) + 1
    return counts
