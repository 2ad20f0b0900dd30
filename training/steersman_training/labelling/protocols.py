"""What the labelling job asks of those who explain features and of those who judge labels.

An explainer turns evidence into labels; a judge answers trials about a label and texts. Neither knows
where the job keeps things, and neither ever sees a right answer. Whatever goes wrong with one request is
a `Failure`: missing data, counted as neither right nor wrong.

Both are called with many items at once and yield as they please, in any order: those who pay by request
keep a ledger of their own, so that asking again for what is answered costs nothing.
"""

from collections.abc import Iterator, Sequence
from typing import Literal, Protocol

from msgspec import Struct

FailureKind = Literal["refused", "truncated", "invalid", "expired", "error"]
LabelKind = Literal["token", "context", "topic", "syntax", "position", "output", "mixed", "unclear"]
Confidence = Literal["low", "mid", "high"]


class Failure(Struct, frozen=True):
    """Why there is no answer."""

    kind: FailureKind
    detail: str = ""
    """For a person: the refusal's category, the HTTP status, what was malformed."""


class Excerpt(Struct, frozen=True, kw_only=True):
    """A piece of a document, with one feature's activations: for explainers only."""

    id: str
    """`document:start`, the start in tokens."""
    document: str
    role: str
    """Of the message that holds the peak."""
    stratum: int | None
    """Bin of peak / h_max, 0 lowest to 4 highest; None where the feature is silent."""
    tokens: tuple[str, ...]
    activations: tuple[float, ...]
    """One a token, in residual units."""
    peak: int
    """Index of the largest activation."""


class Weighted(Struct, frozen=True):
    """A word or token and how much it stands out; the unit is that of the field that holds it."""

    text: str
    weight: float
    share: float = 0.0
    """Of the feature's activation mass, 0 to 1, where that makes sense."""


class Effects(Struct, frozen=True, kw_only=True):
    """What the feature does to the next token, at matched KL; weights are shares of the KL, in nats."""

    raised: tuple[Weighted, ...]
    """Tokens most promoted when it is raised where it was silent, in most of the texts."""
    lowered: tuple[Weighted, ...]
    """Tokens most suppressed then."""
    lost: tuple[Weighted, ...]
    """Tokens that lose most when it is ablated where it fires."""
    gained: tuple[Weighted, ...]
    """Tokens that gain most then."""
    kl_raise: float
    """KL(steered ‖ plain) that raising was matched to, in nats."""
    kl_ablate: float
    """Mean KL of ablation, in nats: how much the model relies on the feature."""


class Revision(Struct, frozen=True, kw_only=True):
    """A label to be improved, and where it went wrong on the dev documents."""

    label: str
    missed: tuple[Excerpt, ...]
    """The feature fires, and the judge did not expect it from the label."""
    mistaken: tuple[Excerpt, ...]
    """The feature is silent, and the judge expected it to fire."""
    confused_with: tuple[str, ...]
    """Labels of other features whose examples were taken for this one's."""


class FeatureEvidence(Struct, frozen=True, kw_only=True):
    """All that an explainer may know of a feature, from the explain documents alone."""

    feature: int
    h_max: float
    density: float
    """Share of tokens on which it fires."""
    examples: tuple[Excerpt, ...]
    """Where it fires, over all strata, strongest first."""
    inactive: tuple[Excerpt, ...]
    """Where it is silent throughout, though the text is like that of the examples."""
    firing_words: tuple[Weighted, ...]
    """Whole words on which it fires, by z of the log-odds against all text."""
    context_words: tuple[Weighted, ...]
    """Words within 16 tokens before a firing, likewise."""
    previous_words: tuple[Weighted, ...]
    """The word just before, likewise."""
    promoted: tuple[Weighted, ...]
    """Top tokens of the decoder row's logit lens."""
    suppressed: tuple[Weighted, ...]
    next_tokens: tuple[Weighted, ...] = ()
    """Promoted tokens that do come next where it fires; `weight`: how many times as often as elsewhere."""
    roles: dict[str, float]
    """Share of its activation mass in each role's messages."""
    role_base: dict[str, float]
    """Share of all tokens."""
    special_share: float
    """Share of its activation mass on special tokens, the template's, punctuation and blanks."""
    position_bits: float
    """Mutual information of firing and the position in the document, in bits a token."""
    early_share: float
    """Share of its activation mass in the first tenth of the positions."""
    num_documents: int
    """Explain documents in which it fires."""
    effects: Effects | None = None
    """For features that are routed to a causal explanation."""
    revision: Revision | None = None
    """In refinement: what to improve."""


class LabelDraft(Struct, frozen=True, kw_only=True):
    """What an explainer says; `unclear` is an honest answer and stays one."""

    text: str
    """At most twelve words."""
    kind: LabelKind
    confidence: Confidence
    words: tuple[Weighted, ...] = ()
    """More words to find the feature by."""
    example_ids: tuple[str, ...] = ()
    """Excerpts it was made from."""
    model: str = ""
    """Empty where no language model was asked."""


class Passage(Struct, frozen=True):
    """A text in a trial: no activations, nothing that tells whether the feature fires."""

    id: str
    """The same id is the same text."""
    tokens: tuple[str, ...]
    marked: tuple[int, ...] = ()
    """Highlighted positions; only in fuzzing."""

    @property
    def text(self) -> str:
        """As it reads."""
        return "".join(self.tokens)


class ContrastiveTrial(Struct, frozen=True, tag="contrastive"):
    """In which of two texts does the feature fire? Chance 1/2."""

    id: str
    feature: int
    label: str
    passages: tuple[Passage, Passage]


class StringentTrial(Struct, frozen=True, tag="stringent"):
    """Which of four texts is this feature's? The others are of features with near labels. Chance 1/4."""

    id: str
    feature: int
    label: str
    passages: tuple[Passage, Passage, Passage, Passage]


class DetectionTrial(Struct, frozen=True, tag="detection"):
    """Does the feature fire somewhere in this text?"""

    id: str
    feature: int
    label: str
    passages: tuple[Passage]


class FuzzingTrial(Struct, frozen=True, tag="fuzzing"):
    """Does the feature fire on the marked tokens, rather than on others of the same text?"""

    id: str
    feature: int
    label: str
    passages: tuple[Passage]


Trial = ContrastiveTrial | StringentTrial | DetectionTrial | FuzzingTrial


class Verdict(Struct, frozen=True):
    """A judge's answer."""

    choice: int
    """Index of the passage chosen; for detection and fuzzing 1 is yes, 0 no."""
    scores: tuple[float, ...] = ()
    """One a passage, higher is likelier, if the judge has any; on a scale of its own."""
    model: str = ""


class Estimate(Struct, frozen=True, kw_only=True):
    """What a step would take; tokens and dollars beforehand are estimates, and say how sure."""

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    usd: float = 0.0
    usd_high: float = 0.0
    """Upper end, from the longest answers allowed: what a cap is held against."""
    seconds: float = 0.0


class Explainer(Protocol):
    """Names features from evidence."""

    name: str
    """Stored with each label: `statistical`, `claude`, ..."""
    version: str
    """Of the rules or prompt; other answers are expected of another version."""
    batch_size: int
    """How many features a call likes to get."""

    def explain(self, batch: Sequence[FeatureEvidence]) -> Iterator[tuple[int, LabelDraft | Failure]]:
        """Each feature of `batch` once, in any order, with its label or why there is none."""
        ...

    def estimate(self, sample: Sequence[FeatureEvidence], total: int) -> Estimate:
        """For `total` features of which `sample` is a fair sample."""
        ...


class Judge(Protocol):
    """Answers trials from the label and the texts alone."""

    name: str
    """Stored with each score: `embedding`, `lexical`, `claude`, ..."""
    version: str
    batch_size: int
    """How many trials a call likes to get."""

    def judge(self, trials: Sequence[Trial]) -> Iterator[tuple[str, Verdict | Failure]]:
        """Each trial's id once, in any order, with the answer or why there is none."""
        ...

    def estimate(self, sample: Sequence[Trial], total: int) -> Estimate:
        """For `total` trials of which `sample` is a fair sample."""
        ...
