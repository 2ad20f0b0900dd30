"""Names features by asking a language model."""

from collections.abc import Iterator, Sequence

from steersman_training.labelling.ask import Ask, Turn, make_ask, schema_of
from steersman_training.labelling.asking import Asker
from steersman_training.labelling.llm_estimate import estimate
from steersman_training.labelling.llm_prompts import ASK_EXPLAIN, LabelAnswer, explain_prompt
from steersman_training.labelling.llm_render import (
    effect_lines,
    excerpt_line,
    quoted,
    statistics_lines,
    tagged,
)
from steersman_training.labelling.protocols import (
    Estimate,
    Failure,
    FeatureEvidence,
    LabelDraft,
    Weighted,
)

MAX_TOKENS = 800
TYPICAL_TOKENS = 150
"""Of an answer."""
SCHEMA = schema_of(LabelAnswer)


class LLMExplainer:
    """An `Explainer`. Its version holds the model: another model's labels are other labels."""

    def __init__(self, asker: Asker, model: str, name: str) -> None:
        self.name = name
        self.version = f"{explain_prompt().version}:{model}"
        self.batch_size = asker.transport.batch_size
        self._asker = asker
        self._model = model

    def explain(self, batch: Sequence[FeatureEvidence]) -> Iterator[tuple[int, LabelDraft | Failure]]:
        """Each feature once, as the answers come.

        Raises:
            BudgetError: What remains may cost more than is left; what was answered is kept.
            BackendError: The service cannot be used now; likewise.
        """
        asks = [explain_ask(evidence, self._model) for evidence in batch]
        by_id = {ask.id: evidence for ask, evidence in zip(asks, batch, strict=True)}
        for ask, data, model in self._asker.ask(asks, LabelAnswer):
            evidence = by_id[ask]
            yield evidence.feature, data if isinstance(data, Failure) else draft(data, evidence, model)

    def estimate(self, sample: Sequence[FeatureEvidence], total: int) -> Estimate:
        """For `total` features of which `sample` is a fair sample."""
        asks = [explain_ask(evidence, self._model) for evidence in sample]
        return estimate(self._asker, asks, total, TYPICAL_TOKENS)


def explain_ask(evidence: FeatureEvidence, model: str) -> Ask:
    """The question for one feature."""
    prompt = explain_prompt()
    return make_ask(
        stage="explain" if evidence.revision is None else "refine",
        feature=evidence.feature,
        model=model,
        prompt_version=prompt.version,
        system=prompt.text,
        messages=(Turn("user", explain_text(evidence)),),
        schema=SCHEMA,
        max_tokens=MAX_TOKENS,
    )


def explain_text(evidence: FeatureEvidence) -> str:
    """All that is known of a feature, fenced."""
    h_max, revision = evidence.h_max, evidence.revision
    parts = [
        tagged("fires", (excerpt_line(excerpt, h_max) for excerpt in evidence.examples)),
        tagged("silent", (excerpt_line(excerpt, h_max) for excerpt in evidence.inactive)),
        tagged("counted", statistics_lines(evidence)),
        tagged("effects", effect_lines(evidence)),
    ]
    if revision is not None:
        inside = [f"current name: {quoted(revision.label)}"]
        inside += [f"it fires here, which the name missed: {excerpt_line(e, h_max)}" for e in revision.missed]
        inside += [
            f"it is silent here, though the name fitted: {excerpt_line(e, h_max)}" for e in revision.mistaken
        ]
        inside += [f"another feature it was taken for: {quoted(name)}" for name in revision.confused_with]
        parts.append(tagged("revise", inside))
    return "".join(parts) + ASK_EXPLAIN


def draft(answer: LabelAnswer, evidence: FeatureEvidence, model: str) -> LabelDraft:
    """An answer as a label; who sees no pattern has said `unclear`, in whatever words."""
    unclear = answer.kind == "unclear" or answer.label.strip().casefold() == "unclear"
    words = dict.fromkeys(word.strip().casefold() for word in answer.search_words if word.strip())
    return LabelDraft(
        text="unclear" if unclear else " ".join(answer.label.split()),
        kind="unclear" if unclear else answer.kind,
        confidence="low" if unclear else answer.confidence,
        words=() if unclear else tuple(Weighted(word, 0.5) for word in list(words)[:8]),
        example_ids=tuple(excerpt.id for excerpt in evidence.examples),
        model=model,
    )
