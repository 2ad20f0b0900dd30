"""What lists, filters and receipts need of every feature, kept in memory."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np

from steersman.types import Feature
from steersman_catalog.errors import UnknownFeatureError
from steersman_catalog.filters import FeatureFilter, Sort

QUERY = """
SELECT features.feature AS index, h_max, density, flags,
    coalesce(labels.text, 'no label') AS label, coalesce(labels.kind, 'none') AS kind,
    CASE WHEN list_contains(flags, 'never_fired') THEN 'never_fired'
        WHEN list_contains(flags, 'few_firings') THEN 'few_firings'
        ELSE coalesce(explainer, 'none') END AS label_kind,
    score AS rating, coalesce(trusted, FALSE) AS trusted,
    hidden.feature IS NOT NULL AS hidden, coalesce(refused, FALSE) AS refused
FROM features
LEFT JOIN (FROM labels WHERE shown) AS labels ON labels.feature = features.feature
LEFT JOIN ratings ON ratings.feature = features.feature
LEFT JOIN (
    SELECT feature, bool_or(action = 'refuse') AS refused FROM memory.main.marks
    WHERE action <> 'mark' AND (subject = 'feature'
        OR subject = 'label' AND id IN (SELECT label FROM labels WHERE shown))
    GROUP BY feature
) AS hidden ON hidden.feature = features.feature
ORDER BY features.feature
"""


HIDDEN = "hidden by moderation"
"""In place of a label."""


def redacted(feature: Feature) -> Feature:
    """A hidden feature as those see it who may not see what it is about."""
    return msgspec.structs.replace(feature, label=HIDDEN, kind="none", rating=None, trusted=False)


class Overview:
    """Every feature without its examples; the arrays are `[num_features]`."""

    def __init__(self, rows: Callable[..., list[dict[str, Any]]]) -> None:
        """Read it; `rows` asks the file."""
        found = rows(QUERY)
        self.features = features = [Feature(**row) for row in found]
        self._shown = [redacted(feature) if feature.hidden else feature for feature in features]
        self._kinds = _Kinds([feature.kind for feature in features])
        self.h_max = np.array([feature.h_max for feature in features], np.float32)
        self.density = np.array([feature.density for feature in features])
        self.rating = np.array([np.nan if f.rating is None else f.rating for f in features], np.float32)
        self._label_kinds = _Kinds([feature.label_kind for feature in features])
        self._trusted = np.array([feature.trusted for feature in features])
        self._hidden = np.array([feature.hidden for feature in features])
        self._orders: dict[tuple[Sort, bool], np.ndarray] = {}
        self._flagged: dict[str, np.ndarray] = {}
        for feature in features:
            for flag in feature.flags:
                self._flagged.setdefault(flag, np.zeros(len(features), bool))[feature.index] = True

    def __len__(self) -> int:
        return len(self.features)

    @property
    def flags(self) -> tuple[str, ...]:
        """Those that some feature has."""
        return tuple(sorted(self._flagged))

    def check(self, index: int) -> None:
        """Raise UnknownFeatureError unless there is such a feature."""
        if not 0 <= index < len(self.features):
            raise UnknownFeatureError(index, len(self.features))

    def take(self, indices: Sequence[int], *, hidden: bool = False) -> list[Feature]:
        """Those features in that order, an index perhaps twice; unless `hidden`, without what is hidden."""
        for index in indices:
            self.check(index)
        features = self.features if hidden else self._shown
        return [features[index] for index in indices]

    def mask(self, wanted: FeatureFilter) -> np.ndarray:
        """Which features pass, bool `[num_features]`."""
        keep = (self.density >= wanted.min_density) & (self.density <= wanted.max_density)
        if not wanted.hidden:
            keep &= ~self._hidden
        if wanted.min_rating is not None:
            keep &= self.rating >= wanted.min_rating  # false for NaN
        if wanted.trusted is not None:
            keep &= self._trusted == wanted.trusted
        for kinds, allowed in ((self._kinds, wanted.kinds), (self._label_kinds, wanted.label_kinds)):
            if allowed is not None:
                keep &= kinds.mask(allowed)
        for flag in wanted.flags:
            keep &= self._flagged.get(flag, False)
        for flag in wanted.without_flags:
            keep &= ~self._flagged.get(flag, np.False_)
        return keep

    def order(self, key: Sort, descending: bool) -> np.ndarray:
        """All indices sorted by `key`, ties by index; those without a value last."""
        found = self._orders.get((key, descending))
        if found is None:
            found = self._orders[key, descending] = self._sorted(key, descending)
        return found

    def _sorted(self, key: Sort, descending: bool) -> np.ndarray:
        if key == "index":
            indices = np.arange(len(self))
            return indices[::-1] if descending else indices
        values = np.asarray(getattr(self, key), float)
        return np.lexsort((np.arange(len(self)), -values if descending else values))


class _Kinds:
    """What kind each feature is of, as numbers: a filter compares those."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self._number = {kind: number for number, kind in enumerate(dict.fromkeys(kinds))}
        self._of_feature = np.array([self._number[kind] for kind in kinds])

    def mask(self, allowed: Sequence[str]) -> np.ndarray:
        """Which features are of one of those, bool `[num_features]`."""
        return np.isin(self._of_feature, [self._number[kind] for kind in allowed if kind in self._number])
