"""What moderation found in a request and in its answers, in OpenAI's form."""

from msgspec import Struct


class ModerationResult(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type", tag="moderation_result"
):
    """What one judge found in the input, or in one answer."""

    model: str
    """`rules`, `features`, or the model behind a moderation endpoint."""
    flagged: bool
    categories: dict[str, bool]
    category_scores: dict[str, float]
    """0 to 1. Rules are certain; of features, the share of h_max that was reached."""
    category_applied_input_types: dict[str, list[str]]
    choice: int | None = None
    """Of an output: the answer that it is about."""
    features: list[int] = []
    """Those that fired."""
    blocked: str | None = None
    """The category for which the answer was ended."""


class ModerationResults(Struct, frozen=True, kw_only=True, tag_field="type", tag="moderation_results"):
    """What was found; results without a finding are left out."""

    model: str
    results: list[ModerationResult]


class ModerationFailure(Struct, frozen=True, kw_only=True, tag_field="type", tag="error"):
    """Why nothing can be said."""

    code: str
    message: str


class Moderation(Struct, frozen=True, kw_only=True):
    """Of input and output; it is there if anything was found, or if a judge failed."""

    input: ModerationResults | ModerationFailure
    output: ModerationResults | ModerationFailure
