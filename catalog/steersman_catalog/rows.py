"""What a catalogue holds, a struct a table; `schema/3.sql` says what each field means.

A field that is None is NULL. `table` names the table, `order` the columns its rows are stored by.
"""

from datetime import UTC, datetime
from typing import ClassVar, Literal

from msgspec import Struct, field

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
"""Levels of `FeatureRow.quantiles`."""

Split = Literal["explain", "dev", "test"]
Space = Literal["decoder", "label", "coactivation"]
Side = Literal["promoted", "suppressed"]
Subject = Literal["feature", "label", "example"]
Action = Literal["mark", "hide", "refuse"]
"""A mark alone; not shown; nor steered."""


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None, microsecond=0)


class Row(Struct, frozen=True, kw_only=True):
    """A row of some table."""

    table: ClassVar[str]
    order: ClassVar[tuple[str, ...]] = ("feature",)


class RunRow(Row, frozen=True, kw_only=True):
    """A run of one stage."""

    table: ClassVar[str] = "runs"
    order: ClassVar[tuple[str, ...]] = ("created", "run")
    run: str
    stage: str
    config: str
    """JSON."""
    version: str
    created: datetime = field(default_factory=_now)
    """UTC, without a zone."""
    seconds: float | None = None


class FeatureRow(Row, frozen=True, kw_only=True):
    """A feature, as measured."""

    table: ClassVar[str] = "features"
    feature: int
    h_max: float
    density: float
    mean_activation: float
    num_documents: int
    quantiles: list[float] | None = None
    """At `QUANTILES`."""
    histogram: list[int] | None = None
    """Counts in equal bins of 0 to h_max."""
    decoder_norm: float | None = None
    flags: list[str] = []


class PassageRow(Row, frozen=True, kw_only=True):
    """A document, or a piece of one."""

    table: ClassVar[str] = "passages"
    order: ClassVar[tuple[str, ...]] = ("passage",)
    passage: int
    document: str
    start: int = 0
    split: Split
    tokens: list[int]


class TokenRow(Row, frozen=True, kw_only=True):
    """A token's text."""

    table: ClassVar[str] = "vocabulary"
    order: ClassVar[tuple[str, ...]] = ("token",)
    token: int
    text: str


class ExampleRow(Row, frozen=True, kw_only=True):
    """A window of a passage for one feature."""

    table: ClassVar[str] = "examples"
    order: ClassVar[tuple[str, ...]] = ("feature", "example")
    example: int
    feature: int
    passage: int
    start: int
    length: int
    peak: int
    role: str
    stratum: int | None
    tier: str | None = None
    places: list[int]
    """Ascending."""
    activations: list[float]


class LogitRow(Row, frozen=True, kw_only=True):
    """A token that the decoder row moves."""

    table: ClassVar[str] = "logits"
    order: ClassVar[tuple[str, ...]] = ("feature", "side", "rank")
    feature: int
    side: Side
    rank: int
    token: int
    value: float


class LabelRow(Row, frozen=True, kw_only=True):
    """A name for a feature."""

    table: ClassVar[str] = "labels"
    order: ClassVar[tuple[str, ...]] = ("feature", "label")
    label: int
    feature: int
    text: str
    kind: str
    explainer: str
    model: str | None = None
    version: str | None = None
    confidence: str | None = None
    examples: list[int] = []
    parent: int | None = None
    run: str | None = None
    created: datetime = field(default_factory=_now)
    """UTC, without a zone."""
    shown: bool


class WordRow(Row, frozen=True, kw_only=True):
    """A word to find a feature by."""

    table: ClassVar[str] = "words"
    order: ClassVar[tuple[str, ...]] = ("feature", "weight DESC", "text")
    feature: int
    text: str
    weight: float


class TileRow(Row, frozen=True, kw_only=True):
    """A text that trials are made of."""

    table: ClassVar[str] = "tiles"
    order: ClassVar[tuple[str, ...]] = ("tile",)
    tile: int
    passage: int
    start: int
    length: int


class QuestionRow(Row, frozen=True, kw_only=True):
    """The questions of one test of a feature."""

    table: ClassVar[str] = "questions"
    order: ClassVar[tuple[str, ...]] = ("test", "split", "feature")
    feature: int
    test: str
    split: Split
    options: int
    tiles: list[int]
    targets: list[int]
    tiers: list[str]
    strata: list[int | None]
    others: list[int] | None = None
    marked: list[list[int]] | None = None


class AnswerRow(Row, frozen=True, kw_only=True):
    """What a judge chose in one test of a label."""

    table: ClassVar[str] = "answers"
    order: ClassVar[tuple[str, ...]] = ("test", "judge", "baseline", "split", "feature", "label")
    feature: int
    test: str
    split: Split
    judge: str
    label: int | None
    baseline: str | None = None
    choices: list[int | None]
    failures: list[str | None] | None = None


class ScoreRow(Row, frozen=True, kw_only=True):
    """What trials come to."""

    table: ClassVar[str] = "scores"
    order: ClassVar[tuple[str, ...]] = ("feature", "test", "judge", "baseline", "split", "tier", "stratum")
    feature: int
    label: int | None
    test: str
    judge: str = ""
    baseline: str | None = None
    split: Split
    tier: str | None = None
    stratum: int | None = None
    value: float
    lo: float | None = None
    hi: float | None = None
    chance: float | None = None
    n: int
    k: float | None = None
    failures: int = 0
    label_set: str | None = None
    run: str | None = None


class RatingRow(Row, frozen=True, kw_only=True):
    """The number a feature is ranked by."""

    table: ClassVar[str] = "ratings"
    feature: int
    label: int
    test: str
    score: float
    q_value: float | None
    trusted: bool


class NeighbourRow(Row, frozen=True, kw_only=True):
    """A feature's near one."""

    table: ClassVar[str] = "neighbours"
    order: ClassVar[tuple[str, ...]] = ("space", "feature", "rank")
    feature: int
    space: Space
    rank: int
    neighbour: int
    similarity: float


class EchoRow(Row, frozen=True, kw_only=True):
    """A feature that says the same as the others of its group."""

    table: ClassVar[str] = "echoes"
    feature: int
    echo: int


class ModerationRow(Row, frozen=True, kw_only=True):
    """Something to be marked, hidden or refused."""

    table: ClassVar[str] = "moderation"
    order: ClassVar[tuple[str, ...]] = ("feature", "subject", "id", "category")
    subject: Subject
    id: int
    feature: int
    category: str
    action: Action
    evidence: str
    source: str
    created: datetime = field(default_factory=_now)
    """UTC, without a zone."""


class RequestRow(Row, frozen=True, kw_only=True):
    """What was asked of a language model."""

    table: ClassVar[str] = "requests"
    order: ClassVar[tuple[str, ...]] = ("created", "request")
    request: str
    stage: str
    backend: str
    model: str
    feature: int | None = None
    batch: str | None = None
    status: str
    stop_reason: str | None = None
    failure: str | None = None
    input_tokens: int | None = None
    cached_tokens: int | None = None
    output_tokens: int | None = None
    usd: float | None = None
    created: datetime
    """UTC, without a zone."""


class BatchRow(Row, frozen=True, kw_only=True):
    """Requests sent together."""

    table: ClassVar[str] = "batches"
    order: ClassVar[tuple[str, ...]] = ("submitted", "batch")
    batch: str
    backend: str
    status: str
    num_requests: int
    submitted: datetime | None = None
    ended: datetime | None = None
    reserved_usd: float | None = None
    usd: float | None = None


class MapRow(Row, frozen=True, kw_only=True):
    """A feature's place in the picture of all."""

    table: ClassVar[str] = "map"
    feature: int
    x: float
    y: float


class EmbeddingRow(Row, frozen=True, kw_only=True):
    """A label's direction; `vectors.quantize` makes the numbers."""

    table: ClassVar[str] = "embeddings"
    order: ClassVar[tuple[str, ...]] = ("label",)
    label: int
    embedding: list[int]


TABLES: tuple[type[Row], ...] = (
    RunRow,
    FeatureRow,
    PassageRow,
    TokenRow,
    ExampleRow,
    LogitRow,
    LabelRow,
    WordRow,
    TileRow,
    QuestionRow,
    AnswerRow,
    ScoreRow,
    RatingRow,
    NeighbourRow,
    EchoRow,
    ModerationRow,
    RequestRow,
    BatchRow,
    MapRow,
    EmbeddingRow,
)
"""All but `meta`, and `terms`, which is made from labels and words."""
