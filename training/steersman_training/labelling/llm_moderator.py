"""Marks features by asking a language model."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from steersman_catalog.moderation import Category
from steersman_training.labelling.ask import Ask, Turn, make_ask, schema_of
from steersman_training.labelling.asking import Asker
from steersman_training.labelling.llm_estimate import estimate
from steersman_training.labelling.llm_prompts import ASK_MODERATE, moderate_prompt
from steersman_training.labelling.llm_render import quoted, tagged
from steersman_training.labelling.moderation import Mark, Sample, marks_of
from steersman_training.labelling.protocols import Estimate, Excerpt, Failure

MAX_TOKENS = 1500
TYPICAL_TOKENS = 40
NUM_TEXTS = 12
"""Shown of a feature's samples, spread over all of them."""


class Finding(Struct, frozen=True, forbid_unknown_fields=True):
    """One piece that belongs to a category."""

    piece: int
    category: Category
    evidence: str


class Findings(Struct, frozen=True, forbid_unknown_fields=True):
    """A moderator's answer."""

    found: list[Finding]


class LLMModerator:
    """A `Moderator`."""

    def __init__(self, asker: Asker, model: str, name: str) -> None:
        self.name = name
        self.version = f"{moderate_prompt().version}:{model}"
        self.batch_size = asker.transport.batch_size
        self._asker = asker
        self._model = model

    def moderate(self, batch: Sequence[Sample]) -> Iterator[tuple[int, tuple[Mark, ...] | Failure]]:
        """Each feature once, as the answers come.

        A refusal is a failure as any other: that a model will not read a text says little about the text.

        Raises:
            BudgetError: What remains may cost more than is left; what was answered is kept.
            BackendError: The service cannot be used now; likewise.
        """
        asks = [moderate_ask(sample, self._model) for sample in batch]
        by_id = {ask.id: sample for ask, sample in zip(asks, batch, strict=True)}
        for ask, data, _ in self._asker.ask(asks, Findings):
            sample = by_id[ask]
            yield sample.feature, data if isinstance(data, Failure) else marks(data, sample)

    def estimate(self, sample: Sequence[Sample], total: int) -> Estimate:
        """For `total` features of which `sample` is a fair sample."""
        asks = [moderate_ask(one, self._model) for one in sample]
        return estimate(self._asker, asks, total, TYPICAL_TOKENS)


def shown(sample: Sample) -> list[Excerpt]:
    """The samples that are looked at, evenly over their order."""
    step = max(1.0, len(sample.examples) / NUM_TEXTS)
    return [sample.examples[int(index * step)] for index in range(min(NUM_TEXTS, len(sample.examples)))]


def moderate_ask(sample: Sample, model: str) -> Ask:
    """The question for one feature."""
    texts = [sample.label, *("".join(excerpt.tokens) for excerpt in shown(sample))]
    pieces = [f"{number}: {quoted(text)}" for number, text in enumerate(texts)]
    prompt = moderate_prompt()
    return make_ask(
        stage="moderate",
        feature=sample.feature,
        model=model,
        prompt_version=prompt.version,
        system=prompt.text,
        messages=(Turn("user", tagged("pieces", pieces) + ASK_MODERATE),),
        schema=schema_of(Findings),
        max_tokens=MAX_TOKENS,
    )


def marks(findings: Findings, sample: Sample) -> tuple[Mark, ...]:
    """Findings as marks; numbers of pieces that were not shown are left out."""
    excerpts = shown(sample)
    label: dict[Category, str] = {}
    found: dict[str, dict[Category, str]] = {}
    for finding in findings.found:
        if finding.piece == 0:
            label[finding.category] = finding.evidence
        elif 0 < finding.piece <= len(excerpts):
            found.setdefault(excerpts[finding.piece - 1].id, {})[finding.category] = finding.evidence
    return marks_of(found, label, len(excerpts))
