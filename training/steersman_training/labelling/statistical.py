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
from steersman_training.labelling.wording import BLANKS, named, same_word
from steersman_training.labelling.words import VISIBLE

LABEL_WORDS = 5
CONTEXT_WORDS = 3
FAR_BEHIND = 0.2
"""A word that stands out by a smaller part of what the first does is not worth naming."""
WEAK_Z = 5.0
"""If no word stands out more, words tell nothing."""
ALONE_SHARE = 0.9
"""A word with a larger share of a feature's activation is the label, but for its context."""
CONTEXT_Z = 8.0
"""A word before a firing that stands out less is not worth naming."""
JUST_BEFORE = 0.3
"""The word just before is named if it is the same for so much of the activation."""
FOLLOWED = 0.25
"""Promoted tokens are named if they come next for so much of it."""
SEARCHED = 20
FEW_DOCUMENTS = 3
SPECIAL_SHARE = 0.7
"""From here on, words tell little and what the feature does tells more."""
EARLY_SHARE, EARLY_BITS = 0.8, 0.002
ONE_ROLE, ROLE_BASE = 0.95, 0.8
"""A role is named if the activation is nearly all in it, and not nearly all text is."""
MOSTLY_SYSTEM = 0.5
"""Of the activation: the rest says little, as every chat begins with the same system message."""
LEAST_EFFECT = 0.02
"""Nats of the KL that a token must make up to be named."""


class StatisticalExplainer:
    """Labels from words that stand out, position, role and, for signs, what the feature does."""

    name = "statistical"
    version = "5"
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
            return _causal(evidence, evidence.effects, [word.text for word in _chosen(evidence)])
        words = [word for word in evidence.firing_words if word.text]
        if not words or words[0].weight < WEAK_Z or evidence.num_documents < FEW_DOCUMENTS:
            return _unclear(evidence)
        heaviest = max(words, key=lambda word: word.share)
        alone = heaviest.share > ALONE_SHARE
        chosen = [heaviest] if alone else _chosen(evidence)
        taken = {word.text for word in chosen}
        context = _context(evidence, taken) if alone else _just_before(evidence, taken)
        text = _listed([word.text for word in chosen])
        if context:
            text += f" after {_listed([word.text for word in context])}"
        follows = _follows(evidence)
        kind = _kind(evidence, chosen, alone=alone, context=bool(context))
        return _draft(evidence, text + follows + _where(evidence), "output" if follows else kind)


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


def _listed(words: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(named(word) for word in words))


def _chosen(evidence: FeatureEvidence) -> list[Weighted]:
    """The words that stand out most: none far behind the first, none twice in another form."""
    chosen: list[Weighted] = []
    for word in evidence.firing_words:
        if word.weight < FAR_BEHIND * evidence.firing_words[0].weight or len(chosen) == LABEL_WORDS:
            break
        if word.text and not any(same_word(word.text, other.text) for other in chosen):
            chosen.append(word)
    return chosen


def _unclear(evidence: FeatureEvidence) -> LabelDraft:
    """Says what it saw, and that it proves nothing."""
    seen = _listed([word.text for word in _chosen(evidence)][:CONTEXT_WORDS])
    return _draft(evidence, f"unclear ({seen})" if seen else "unclear", "unclear")


def _causal(evidence: FeatureEvidence, effects: Effects, sits: Sequence[str]) -> LabelDraft:
    """By what it does: tokens it makes likelier, where it fires and where it is raised; and where it sits."""
    moved = [token for token in (*effects.lost, *effects.raised) if token.weight >= LEAST_EFFECT]
    shown = [_token(token.text) for token in moved]
    raised = list(dict.fromkeys(token for token in shown if token))[:LABEL_WORDS]
    text = _listed(sits[:LABEL_WORDS])
    before = _just_before(evidence, set(sits))
    if text and before:
        text += f" after {_listed([word.text for word in before])}"
    if raised:
        led = f"leads to {', '.join(raised)}"
        text = f"{led}; on {text}" if text else led
    if not text:
        return _unclear(evidence)
    return _draft(evidence, text + _where(evidence), "output" if raised else "syntax")


def _token(text: str) -> str:
    shown = text.strip() or text.translate(VISIBLE)
    return named(shown) if shown and "�" not in shown else ""


def _context(evidence: FeatureEvidence, taken: set[str]) -> list[Weighted]:
    found = [
        word
        for word in evidence.context_words
        if word.weight >= CONTEXT_Z and word.text not in taken and any(c.isalnum() for c in word.text)
    ]
    return found[:CONTEXT_WORDS]


def _just_before(evidence: FeatureEvidence, taken: set[str]) -> list[Weighted]:
    """The word just before, where it is mostly the same."""
    found = [
        word
        for word in evidence.previous_words
        if word.share >= JUST_BEFORE and word.weight >= CONTEXT_Z and word.text not in taken
    ]
    return [word for word in found if set(word.text) - BLANKS]


def _follows(evidence: FeatureEvidence) -> str:
    """What it predicts, where that comes true."""
    if sum(token.share for token in evidence.next_tokens) < FOLLOWED:
        return ""
    named_ = dict.fromkeys(_token(token.text) for token in evidence.next_tokens)
    tokens = [token for token in named_ if token][:CONTEXT_WORDS]
    return f", before {', '.join(tokens)}" if tokens else ""


def _where(evidence: FeatureEvidence) -> str:
    """Place and role, where they say something."""
    facts = []
    if evidence.early_share >= EARLY_SHARE and evidence.position_bits >= EARLY_BITS:
        facts.append("at the start")
    for role, share in evidence.roles.items():
        if share >= ONE_ROLE and evidence.role_base.get(role, 0.0) < ROLE_BASE:
            facts.append(f"{role} only")
        elif role == "system" and share >= MOSTLY_SYSTEM and evidence.role_base.get(role, 0.0) < share / 2:
            facts.append("mostly system")
    return f" ({', '.join(facts)})" if facts else ""


def _kind(evidence: FeatureEvidence, chosen: Sequence[Weighted], *, alone: bool, context: bool) -> LabelKind:
    if evidence.early_share >= EARLY_SHARE and evidence.position_bits >= EARLY_BITS:
        return "position"
    if alone or len(chosen) == 1:
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

    Where nothing went wrong in a way that words can mend, it is the same label with more words. What the
    feature does, where it stands and who speaks are said as before.
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
    if evidence.effects is not None:
        return _causal(evidence, evidence.effects, chosen)
    return _draft(evidence, _listed(chosen) + _where(evidence), "topic")


def _terms(excerpts: Sequence[Excerpt]) -> dict[str, int]:
    """In how many of some texts each term is."""
    counts: dict[str, int] = {}
    for excerpt in excerpts:
        for term in set(terms_of("".join(excerpt.tokens))):
            counts[term] = counts.get(term, 0) + 1
    return counts
