"""Moderation without a language model: few plain words, and patterns of personal data that check out."""

from collections.abc import Iterator, Mapping, Sequence

from steersman_catalog.moderation.rules import rule_evidence
from steersman_catalog.rows import ModerationRow
from steersman_training.labelling.moderation import Mark, Sample, marks_of, moderation_rows
from steersman_training.labelling.protocols import Estimate, Failure, FeatureEvidence

VERSION = 2


class RuleModerator:
    """A `Moderator` that reads labels and samples by rule; evidence is the words found."""

    name = "rules"
    version = f"rules-{VERSION}"
    batch_size = 4096

    def moderate(self, batch: Sequence[Sample]) -> Iterator[tuple[int, tuple[Mark, ...] | Failure]]:
        """Each feature once."""
        for sample in batch:
            found = {excerpt.id: rule_evidence("".join(excerpt.tokens)) for excerpt in sample.examples}
            label = rule_evidence(sample.label)
            yield sample.feature, marks_of(found, label, len(sample.examples))

    def estimate(self, sample: Sequence[Sample], total: int) -> Estimate:
        """Nothing is asked of anyone."""
        return Estimate()


def rule_rows(
    evidence: FeatureEvidence, label: str, label_id: int, examples: Mapping[str, int]
) -> list[ModerationRow]:
    """One feature's rows of the catalogue; `examples` are the samples' ids there, by their excerpts'.

    Samples in which it is silent are marked as the others are, and count for no mark of the feature.
    """
    found, silent = (
        {excerpt.id: rule_evidence("".join(excerpt.tokens)) for excerpt in excerpts}
        for excerpts in (evidence.examples, evidence.inactive)
    )
    marks = marks_of(found, rule_evidence(label), len(evidence.examples)) + marks_of(silent, {})
    return moderation_rows(marks, RuleModerator.name, evidence.feature, label_id, examples)
