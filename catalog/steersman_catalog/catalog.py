"""The catalogue of an SAE's features, a DuckDB file that is only read; `schema/3.sql` describes it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from steersman.types import Feature, FeatureDashboard, NeighborFeature
from steersman_catalog.dashboard import dashboard_of, echoes_of, examples_of
from steersman_catalog.embedder import Embedder
from steersman_catalog.filters import FeatureFilter, Sort
from steersman_catalog.neighbours import neighbours_of
from steersman_catalog.rows import Space
from steersman_catalog.search import SearchMode, page_of, relevance
from steersman_catalog.snapshot import Snapshot
from steersman_catalog.verdicts import MARKED, Verdicts

Page = tuple[list[Feature], bool]
"""Features without examples, and whether more follow."""
Neighbors = list[NeighborFeature]
Features = list[Feature]
Marked = dict[int, list[str]]
ALL = FeatureFilter()


class Catalog:
    """Every feature of an SAE. Any thread may call any method."""

    def __init__(
        self,
        path: Path,
        snapshot: Snapshot,
        embedder: Embedder | None = None,
        verdicts: Verdicts | None = None,
    ) -> None:
        self.embedder = embedder
        """Embeds queries; without one, search knows only words."""
        self._verdicts = verdicts
        self._opened = (path, snapshot, _stamp(path))

    @classmethod
    def open(cls, path: Path, embedder: Embedder | None = None, verdicts: Verdicts | None = None) -> Self:
        """Open a catalogue for reading; one of an older schema version is upgraded in memory.

        `verdicts`: what is hidden and refused, of what moderation marked, in place of the file's own actions.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no catalogue, or one of a newer schema version.
        """
        return cls(path, Snapshot.open(path, verdicts), embedder, verdicts)

    def swap(self, path: Path) -> None:
        """Read from another catalogue of the same SAE from now on; what is under way ends on the old one.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: It is no catalogue that can be read, or of another SAE. The old one stays.
        """
        stamp, new, old = _stamp(path), Snapshot.open(path, self._verdicts), self._snapshot
        for what in ("model_fingerprint", "layer"):
            if old.meta.get(what) != new.meta.get(what):
                raise ValueError(f"{path} has {what} {new.meta.get(what)}, not {old.meta.get(what)}.")
        if len(new.overview) != len(old.overview):
            raise ValueError(f"{path} has {len(new.overview)} features, not {len(old.overview)}.")
        self._opened = (path, new, stamp)  # one assignment: a reader sees either the old or the new

    def refresh(self) -> bool:
        """Swap in the file of the same name if it was replaced since; whether it was. See `swap`."""
        path, _, stamp = self._opened
        if _stamp(path) == stamp:
            return False
        self.swap(path)
        return True

    def moderate(self, verdicts: Verdicts) -> None:
        """Open the file anew with other verdicts on what moderation marked."""
        if verdicts != (self._verdicts or {}):
            self._verdicts = verdicts
            self.swap(self.path)

    def close(self) -> None:
        """Let go of the file; no method may be called after."""
        del self._opened

    @property
    def _snapshot(self) -> Snapshot:
        return self._opened[1]

    @property
    def path(self) -> Path:
        """The file."""
        return self._opened[0]

    @property
    def meta(self) -> dict[str, str]:
        """What the catalogue is of."""
        return self._snapshot.meta

    def __len__(self) -> int:
        """Number of features, those that never fired included."""
        return len(self._snapshot.overview)

    @property
    def flags(self) -> tuple[str, ...]:
        """Those that some feature has, by name."""
        return self._snapshot.overview.flags

    def h_max(self) -> np.ndarray:
        """Every feature's largest activation, float32 `[d_sae]`; 0 where it never fired."""
        return self._snapshot.overview.h_max.copy()

    def feature(self, index: int, *, hidden: bool = False) -> Feature:
        """One feature with its examples, highest first; `hidden`: with all that moderation hides of it.

        Raises:
            UnknownFeatureError: No feature has that index.
        """
        snapshot = self._snapshot
        (feature,) = snapshot.overview.take([index], hidden=hidden)
        if feature.hidden and not hidden:
            return feature
        return msgspec.structs.replace(feature, examples=examples_of(snapshot.rows, index, hidden=hidden))

    def dashboard(self, index: int, *, hidden: bool = False) -> FeatureDashboard:
        """All that is known of one feature; `hidden`: with what moderation hides of it.

        Raises:
            UnknownFeatureError: No feature has that index.
        """
        snapshot = self._snapshot
        (feature,) = snapshot.overview.take([index], hidden=hidden)
        return dashboard_of(snapshot.rows, feature, hidden=hidden)

    def features(self, indices: Sequence[int], *, hidden: bool = False) -> list[Feature]:
        """Those features in that order, without examples; an index may come twice.

        One that moderation hides is there without its label, unless `hidden`.

        Raises:
            UnknownFeatureError: No feature has one of the indices.
        """
        return self._snapshot.overview.take(indices, hidden=hidden)

    def list(
        self,
        *,
        limit: int,
        after: int | None = None,
        where: FeatureFilter = ALL,
        sort: Sort = "index",
        descending: bool = False,
    ) -> Page:
        """Features in order, from the one after `after`, which need not itself be among them.

        Raises:
            ValueError: `limit` is below 1.
            UnknownFeatureError: No feature has the index `after`.
        """
        overview = self._snapshot.overview
        order = overview.order(sort, descending)
        if after is not None:
            overview.check(after)
            order = order[int(np.flatnonzero(order == after)[0]) + 1 :]
        found = order[overview.mask(where)[order]]
        _check_limit(limit)
        return overview.take(found[:limit].tolist(), hidden=where.hidden), len(found) > limit

    def search(
        self,
        query: str,
        *,
        limit: int,
        after: int | None = None,
        where: FeatureFilter = ALL,
        mode: SearchMode = "keyword",
    ) -> Page:
        """Features whose labels match `query`, best first, each with its `score` from 0 to 1.

        `mode`: `keyword`, BM25 as a share of the most that the query's words can give; `semantic`, cosine of
        embeddings; `hybrid`, the mean of both. `after`: the last feature of the page before.

        Raises:
            ValueError: The query is empty, `limit` is below 1, or `after` is not among the results.
            NoEmbeddingsError: The mode needs embeddings, and the catalogue or this object has none.
        """
        _check_limit(limit)
        snapshot = self._snapshot
        scores = relevance(snapshot, query, mode, self.embedder)
        scores[~snapshot.overview.mask(where)] = 0
        if after is not None and not (0 <= after < len(scores) and scores[after] > 0):
            raise ValueError(
                f"`after` is {after}, and the search for {query!r} does not find that feature:"
                " pass the last feature of the page before, with the same query."
            )
        page, more = page_of(scores, limit, after)
        features = snapshot.overview.take(page, hidden=where.hidden)
        scored = [msgspec.structs.replace(f, score=round(float(scores[f.index]), 4)) for f in features]
        return scored, more

    def neighbors(
        self, indices: int | Sequence[int], *, space: Space, limit: int = 10, hidden: bool = False
    ) -> Neighbors:
        """Features near one feature, or near the mean of several, nearest first, themselves left out.

        One feature's are those that were stored when the catalogue was made. Several features' are computed
        from the embeddings in the space `label`; in the others they are ranked by their mean similarity to
        the several, as far as it was stored. Hidden features are left out, unless `hidden`.

        Raises:
            UnknownFeatureError: No feature has one of the indices.
            ValueError: No index is given, or `limit` is below 1.
            NoEmbeddingsError: The space is `label`, of several features, and no label has an embedding.
        """
        _check_limit(limit)
        snapshot = self._snapshot
        chosen = [indices] if isinstance(indices, int) else list(dict.fromkeys(indices))
        snapshot.overview.take(chosen)
        return neighbours_of(snapshot, chosen, space, limit, hidden=hidden)

    def echoes(self, index: int, *, hidden: bool = False) -> Features:
        """The other features that say the same as one; those hidden without label, unless `hidden`.

        Raises:
            UnknownFeatureError: No feature has that index.
        """
        snapshot = self._snapshot
        snapshot.overview.check(index)
        return snapshot.overview.take(echoes_of(snapshot.rows, index), hidden=hidden)

    def marked(self) -> Marked:
        """The categories of features that moderation marks, themselves or by the label shown."""
        found = self._snapshot.rows(MARKED)
        return {row["feature"]: row["categories"] for row in found}

    def map(self) -> np.ndarray:
        """The picture of all features: `[d_sae, 2]` float32, each -1 to 1; NaN for one that has no place."""
        snapshot = self._snapshot
        found = snapshot.columns("SELECT feature, x, y FROM map")
        places = np.full((len(snapshot.overview), 2), np.nan, np.float32)
        places[found["feature"], 0], places[found["feature"], 1] = found["x"], found["y"]
        return places

    def warm(self) -> None:
        """Load what the first searches would load, by words and by meaning."""
        snapshot = self._snapshot
        _ = snapshot.keywords, snapshot.semantic


def _check_limit(limit: int) -> None:
    if limit < 1:
        raise ValueError(f"`limit` is {limit}; it is at least 1.")


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        stat = path.stat()
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
