"""Which features a list or a search is about."""

from typing import Literal

from msgspec import Struct

Sort = Literal["index", "density", "h_max", "rating"]
KINDS = ("token", "context", "topic", "syntax", "position", "output", "mixed", "unclear", "none")
"""What a label may be about."""


class FeatureFilter(Struct, frozen=True, kw_only=True):
    """Conditions that must all hold; by default all features that moderation does not hide."""

    min_density: float = 0.0
    max_density: float = 1.0
    min_rating: float | None = None
    """Leaves out features without a rating."""
    trusted: bool | None = None
    kinds: tuple[str, ...] | None = None
    """Of the label: token, context, ...; see `labels.kind` of the schema."""
    label_kinds: tuple[str, ...] | None = None
    """Who made the label, or why there is no good one: `Feature.label_kind`."""
    flags: tuple[str, ...] = ()
    """All of them."""
    without_flags: tuple[str, ...] = ()
    """None of them."""
    hidden: bool = False
    """Also those that moderation hides."""
