"""What should not be shown or steered: features, labels and samples, marked by category, with evidence.

A moderator looks at one feature at a time, its label and its samples, and knows nothing of where marks are
kept. A mark on a label or a sample is about that text alone. A feature itself is marked when so many of
its samples are that the feature must be about it, and then the server can refuse to steer it.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from steersman_catalog.moderation import Category
from steersman_catalog.rows import Action, ModerationRow, Subject
from steersman_training.labelling.protocols import Estimate, Excerpt, Failure

ACTIONS: dict[Category, tuple[Action, Action, Action]] = {
    "sexual": ("hide", "hide", "hide"),
    "minors": ("hide", "refuse", "refuse"),
    "violence": ("mark", "mark", "mark"),
    "hate": ("hide", "hide", "refuse"),
    "self_harm": ("hide", "hide", "refuse"),
    "crime": ("mark", "mark", "mark"),
    "personal_data": ("hide", "hide", "mark"),
}
"""For a sample, a label and a feature."""
FEATURE_SHARE = 0.5
FEATURE_SAMPLES = 4
"""Of its samples, at least so many and so great a share must be marked for a feature to be."""
MAX_EVIDENCE = 200
"""Characters."""


class Sample(Struct, frozen=True, kw_only=True):
    """What is looked at: one feature's label and texts."""

    feature: int
    label: str
    examples: tuple[Excerpt, ...]


class Mark(Struct, frozen=True):
    """Something found."""

    subject: Subject
    id: str
    """Of the excerpt; empty for a label or a feature."""
    category: Category
    action: Action
    evidence: str
    """What it was found by; in personal data all but the kind is left out."""


class Moderator(Protocol):
    """Marks features, by rules or by asking a language model."""

    name: str
    """Stored with each mark: `rules`, `claude`, ..."""
    version: str
    batch_size: int

    def moderate(self, batch: Sequence[Sample]) -> Iterator[tuple[int, tuple[Mark, ...] | Failure]]:
        """Each feature of `batch` once, in any order, with its marks or why there is no answer."""
        ...

    def estimate(self, sample: Sequence[Sample], total: int) -> Estimate:
        """For `total` features of which `sample` is a fair sample."""
        ...


def marks_of(
    found: Mapping[str, Mapping[Category, str]], label: Mapping[Category, str], num_samples: int | None = None
) -> tuple[Mark, ...]:
    """Marks with their actions, the feature's own among them, from evidence by category.

    `found`: of each sample, by its id; without their number the feature gets no mark.
    """
    of_example, of_label, of_feature = range(3)
    marks = [
        Mark("label", "", category, ACTIONS[category][of_label], evidence[:MAX_EVIDENCE])
        for category, evidence in label.items()
    ]
    counts = Counter[Category]()
    for example, categories in found.items():
        for category, evidence in categories.items():
            counts[category] += 1
            action = ACTIONS[category][of_example]
            marks.append(Mark("example", example, category, action, evidence[:MAX_EVIDENCE]))
    for category, count in counts.items():
        if num_samples and count >= FEATURE_SAMPLES and count >= FEATURE_SHARE * num_samples:
            evidence = f"{count} of {num_samples} samples"
            marks.append(Mark("feature", "", category, ACTIONS[category][of_feature], evidence))
    return tuple(marks)


def moderation_rows(
    marks: Sequence[Mark], source: str, feature: int, label: int | None, examples: Mapping[str, int]
) -> list[ModerationRow]:
    """Marks as the catalogue keeps them; those on what the catalogue does not hold are left out.

    `label` and `examples` are the ids there: of the feature's shown label, and of its samples by their
    excerpt's id.
    """
    ids = {"feature": {"": feature}, "label": {"": label}, "example": examples}
    return [
        ModerationRow(
            subject=mark.subject,
            id=number,
            feature=feature,
            category=mark.category,
            action=mark.action,
            evidence=mark.evidence,
            source=source,
        )
        for mark in marks
        if (number := ids[mark.subject].get(mark.id)) is not None
    ]
