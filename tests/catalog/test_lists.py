"""Filters, order, neighbours, dashboards, search by meaning, and another file under readers."""

import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from msgspec.structs import replace

from steersman.types import FeatureLabel, LabelScore, TokenLogit
from steersman_catalog import Catalog, FeatureFilter, NoEmbeddingsError
from steersman_catalog.rows import (
    EchoRow,
    LabelRow,
    LogitRow,
    MapRow,
    ModerationRow,
    NeighbourRow,
    PassageRow,
    RatingRow,
    Row,
    ScoreRow,
)
from steersman_catalog.vectors import embedding_rows, nearest, quantize, unit
from steersman_catalog.writer import write_catalog

Rows = tuple[Row, ...]
DIRECTIONS = {"east": [1, 0, 0, 0], "west": [-1, 0, 0, 0], "north": [0, 1, 0, 0], "up": [0, 0, 1, 0]}


class Compass:
    """Embeds by the word for a direction."""

    name, dim = "compass", 4

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return unit(np.array([np.sum([DIRECTIONS[w] for w in text.split()], axis=0) for text in texts]))


def hide(subject: str, number: int, feature: int, action: str = "hide") -> ModerationRow:
    return ModerationRow(
        subject=subject,  # pyright: ignore[reportArgumentType]
        id=number,
        feature=feature,
        category="hate",
        action=action,  # pyright: ignore[reportArgumentType]
        evidence="a slur",
        source="rules",
    )


def rating(feature: int, label: int, score: float, trusted: bool) -> RatingRow:
    return RatingRow(
        feature=feature, label=label, test="contrastive", score=score, q_value=0.1, trusted=trusted
    )


def more() -> list[Row]:
    labels = [0, 1, 2, 3, 5]  # of the features 3, 0, 1, 2, 4
    directions = Compass().embed(["north", "east", "east north", "west", "up east"])
    return [
        *embedding_rows(labels, directions),
        rating(0, 1, 0.9, True),
        rating(3, 0, 0.7, True),
        rating(1, 2, 0.55, False),
        hide("feature", 1, 1),
        hide("label", 4, 2),  # which is not shown
        hide("feature", 0, 0, "mark"),
        hide("label", 5, 4, "refuse"),
        NeighbourRow(feature=0, space="decoder", rank=0, neighbour=3, similarity=0.8),
        NeighbourRow(feature=0, space="decoder", rank=1, neighbour=2, similarity=0.5),
        NeighbourRow(feature=3, space="decoder", rank=0, neighbour=2, similarity=0.7),
        NeighbourRow(feature=3, space="decoder", rank=1, neighbour=1, similarity=0.6),
        EchoRow(feature=0, echo=0),
        EchoRow(feature=3, echo=0),
        MapRow(feature=0, x=0.5, y=-1.0),
        LogitRow(feature=3, side="promoted", rank=0, token=1, value=2.5),
        LogitRow(feature=3, side="suppressed", rank=0, token=0, value=-1.5),
        ScoreRow(feature=3, label=0, test="contrastive", judge="embedding", split="test", value=0.75, n=20,
                 k=15, chance=0.5, lo=0.5, hi=0.875),
        ScoreRow(feature=3, label=None, test="output_score", split="test", value=0.25, n=1),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def full_path(rows: Rows, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("full") / "full.duckdb"
    write_catalog(path, {"embedder": "compass"}, [*rows, *more()])
    return path


@pytest.fixture
def full(full_path: Path) -> Catalog:
    return Catalog.open(full_path, Compass())


def listed(catalog: Catalog, **options) -> list[int]:
    return [feature.index for feature in catalog.list(limit=10, **options)[0]]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({}, [0, 2, 3, 5]),
        ({"hidden": True}, [0, 1, 2, 3, 4, 5]),
        ({"min_density": 0.02, "max_density": 0.1}, [0, 3]),
        ({"min_rating": 0.6}, [0, 3]),
        ({"trusted": True}, [0, 3]),
        ({"trusted": False}, [2, 5]),
        ({"kinds": ("mixed",), "max_density": 0.05}, [3, 5]),
        ({"kinds": ()}, []),
        ({"label_kinds": ("never_fired",)}, [5]),
        ({"flags": ("never_fired",)}, [5]),
        ({"without_flags": ("never_fired", "few_firings"), "hidden": True}, [0, 1, 2, 3]),
        ({"flags": ("no such flag",)}, []),
    ],
)
def test_a_filter_leaves_what_meets_all_its_conditions(
    full: Catalog, where: dict, expected: list[int]
) -> None:
    assert listed(full, where=FeatureFilter(**where)) == expected


@pytest.mark.parametrize(
    ("sort", "descending", "expected"),
    [
        ("index", True, [5, 3, 2, 0]),
        ("density", False, [5, 3, 0, 2]),
        ("h_max", True, [0, 3, 2, 5]),
        ("rating", True, [0, 3, 2, 5]),
        ("rating", False, [3, 0, 2, 5]),
    ],
)
def test_lists_are_sorted_with_the_unrated_last(
    full: Catalog, sort, descending: bool, expected: list[int]
) -> None:
    assert listed(full, sort=sort, descending=descending) == expected


def test_pages_of_a_sorted_and_filtered_list_lead_through_it(full: Catalog) -> None:
    seen, after, more = [], None, True
    while more:
        page, more = full.list(limit=1, after=after, sort="density", descending=True)
        seen += [feature.index for feature in page]
        after = seen[-1]
    assert seen == [2, 0, 3, 5]


def test_a_page_may_begin_after_a_feature_that_is_filtered_out(full: Catalog) -> None:
    assert listed(full, after=1) == [2, 3, 5]


def test_what_moderation_says_is_on_the_feature(full: Catalog) -> None:
    features = full.features(range(6))
    assert [f.hidden for f in features] == [False, True, False, False, True, False]
    assert [f.refused for f in features] == [False, False, False, False, True, False]


def found(catalog: Catalog, query: str, **options) -> list[tuple[int, float]]:
    return [(f.index, f.score) for f in catalog.search(query, limit=10, **options)[0] if f.score is not None]


def test_a_search_by_meaning_ranks_by_cosine(full: Catalog) -> None:
    where = FeatureFilter(hidden=True)
    near = found(full, "east", mode="semantic", where=where)
    assert [index for index, _ in near] == [0, 1, 4]
    assert [score for _, score in near] == pytest.approx([1, 0.5**0.5, 0.5**0.5], abs=0.01)


def test_hidden_features_are_not_found(full: Catalog) -> None:
    assert [index for index, _ in found(full, "east", mode="semantic")] == [0]
    assert [index for index, _ in found(full, "eggs")] == []


def test_a_hybrid_score_is_the_mean_of_both(full: Catalog) -> None:
    meaning = dict(found(full, "east up", mode="semantic"))
    hybrid = dict(found(full, "east up", mode="hybrid"))
    assert hybrid[0] == pytest.approx(meaning[0] / 2, abs=1e-3)  # no label has the words


@pytest.mark.parametrize("mode", ["semantic", "hybrid"])
def test_meaning_needs_an_embedder(full: Catalog, catalog: Catalog, mode) -> None:
    with pytest.raises(NoEmbeddingsError, match="have no embeddings"):
        catalog.search("east", limit=3, mode=mode)
    full.embedder = None
    with pytest.raises(NoEmbeddingsError, match="steersman pull all-minilm-l6-v2"):
        full.search("east", limit=3, mode=mode)


def test_another_embedder_than_the_labels_is_refused(full: Catalog) -> None:
    class Other(Compass):
        name = "other"

    full.embedder = Other()
    with pytest.raises(NoEmbeddingsError, match="embedded by compass, and the query would be by other"):
        full.search("east", limit=3, mode="semantic")


def test_an_unknown_mode_is_named(full: Catalog) -> None:
    with pytest.raises(ValueError, match="'fuzzy'"):
        full.search("east", limit=3, mode="fuzzy")  # pyright: ignore[reportArgumentType]


def test_neighbours_of_one_feature_are_those_stored(full: Catalog) -> None:
    near = full.neighbors(0, space="decoder")
    assert [(n.feature.index, n.similarity) for n in near] == [(3, 0.8), (2, 0.5)]


def test_neighbours_of_several_are_ranked_by_mean_similarity_without_them(full: Catalog) -> None:
    near = full.neighbors([0, 3], space="decoder")
    assert [(n.feature.index, n.similarity) for n in near] == [(2, 0.6)]  # 1 is hidden


def test_label_neighbours_of_several_are_near_their_mean(full: Catalog) -> None:
    near = full.neighbors([0, 1], space="label")
    assert [n.feature.index for n in near] == [3]
    assert near[0].similarity == pytest.approx(np.cos(np.deg2rad(67.5)), abs=0.01)


def test_a_dashboard_holds_all_of_a_feature(full: Catalog) -> None:
    board = full.dashboard(3)
    score = LabelScore(test="contrastive", judge="embedding", split="test", value=0.75, n=20, failures=0,
                       chance=0.5, lo=0.5, hi=0.875)  # fmt: skip
    assert [(type(label), label.text, label.shown) for label in board.labels] == [
        (FeatureLabel, "recipe, chicken, cook", True)
    ]
    assert board.labels[0].scores == [score]
    assert [(s.test, s.value) for s in board.scores] == [("output_score", 0.25)]
    assert board.promoted == [TokenLogit(" end", 2.5)]
    assert board.suppressed == [TokenLogit("The", -1.5)]
    assert board.echoes == [0]
    assert [feature.index for feature in full.echoes(3)] == [0]
    assert (board.mean_activation, board.num_documents) == (2.0, 30)
    assert [e.document for e in board.examples] == ["c", "a"]
    assert full.dashboard(4, hidden=True).moderation[0].evidence == "a slur"


def test_a_hidden_feature_has_neither_label_nor_evidence_for_those_who_may_not_see_it(full: Catalog) -> None:
    (feature,) = full.features([4])
    board = full.dashboard(4)
    assert (feature.label, board.feature.label) == ("hidden by moderation", "hidden by moderation")
    assert (board.labels, board.examples, board.promoted, board.suppressed) == ([], [], [], [])
    assert [(note.category, note.evidence) for note in board.moderation] == [("hate", "")]
    assert full.feature(4).examples == []
    assert full.features([4], hidden=True)[0].label != feature.label


def test_verdicts_stand_in_place_of_a_file_s_own_actions(full: Catalog) -> None:
    assert full.marked()[4] == ["hate"]
    full.moderate({("feature", "hate"): None, ("label", "hate"): None})
    assert not full.features([4])[0].hidden
    assert 4 not in full.marked()
    full.moderate({("feature", "hate"): "mark", ("label", "hate"): "mark"})
    assert [full.features([4])[0].hidden, full.marked()[4]] == [False, ["hate"]]
    full.moderate({})
    assert full.features([4])[0].refused


def test_the_map_has_a_place_for_every_feature(full: Catalog) -> None:
    places = full.map()
    assert places.shape == (6, 2)
    assert places[0].tolist() == [0.5, -1.0]
    assert np.isnan(places[1:]).all()


def test_quantized_directions_keep_their_cosines() -> None:
    vectors = np.random.default_rng(0).standard_normal((300, 384))
    exact, kept = unit(vectors), unit(quantize(vectors))
    np.testing.assert_allclose(kept @ kept.T, exact @ exact.T, atol=0.01)


def test_the_nearest_are_those_of_a_full_sort() -> None:
    vectors = np.random.default_rng(0).standard_normal((1500, 8))
    indices, cosines = nearest(vectors, 3)
    similar = unit(vectors) @ unit(vectors).T
    np.fill_diagonal(similar, -np.inf)
    assert indices[1400].tolist() == np.argsort(-similar[1400])[:3].tolist()
    np.testing.assert_allclose(cosines, np.sort(similar, axis=1)[:, :-4:-1], atol=1e-5)


def renamed(rows: Rows, text: str) -> list[Row]:
    return [replace(row, text=text) if isinstance(row, LabelRow) else row for row in rows]


def test_a_newer_file_of_the_same_name_is_taken_up(rows: Rows, tmp_path: Path) -> None:
    path = tmp_path / "c.duckdb"
    write_catalog(path, {}, renamed(rows, "old"))
    catalog = Catalog.open(path)
    assert not catalog.refresh()
    write_catalog(path, {}, renamed(rows, "new"))
    assert catalog.feature(0).label == "old"
    assert catalog.refresh()
    assert catalog.feature(0).label == "new"


def test_a_catalogue_of_another_sae_is_not_swapped_in(rows: Rows, path: Path, tmp_path: Path) -> None:
    catalog = Catalog.open(path)
    write_catalog(tmp_path / "deeper.duckdb", {"model": "tiny", "layer": "2"}, rows)
    with pytest.raises(ValueError, match="layer 2, not 1"):
        catalog.swap(tmp_path / "deeper.duckdb")
    fewer = [row for row in rows if getattr(row, "feature", 0) != 5]
    write_catalog(tmp_path / "smaller.duckdb", {"model": "tiny", "layer": "1"}, fewer)
    with pytest.raises(ValueError, match="5 features, not 6"):
        catalog.swap(tmp_path / "smaller.duckdb")
    assert catalog.feature(3).label == "recipe, chicken, cook"


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc which files are open")
def test_readers_see_the_old_or_the_new_catalogue_and_never_a_mixture(rows: Rows, tmp_path: Path) -> None:
    """Label and examples of one answer come from one file, while files are swapped under four readers."""
    files = []
    for name in ("zero", "one"):
        made = [
            replace(row, document=f"{name}{row.passage}") if isinstance(row, PassageRow) else row
            for row in renamed(rows, name)
        ]
        files.append(tmp_path / f"{name}.duckdb")
        write_catalog(files[-1], {}, made)
    catalog, done = Catalog.open(files[0]), Event()

    def read() -> int:
        count = 0
        while not done.is_set():
            feature = catalog.feature(3)
            assert all(example.document.startswith(feature.label) for example in feature.examples)
            count += 1
        return count

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        for turn in range(6):
            catalog.swap(files[(turn + 1) % 2])
        done.set()
        assert all(reader.result() > 0 for reader in readers)
    assert len([name for name in open_files() if name.parent == tmp_path]) == 1


def open_files() -> list[Path]:
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of this very listing
            found.append(descriptor.readlink())
    return found
