"""Searching by words, and by meaning, beside the plain formulas in double precision."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from steersman_catalog import Catalog, FeatureFilter
from steersman_catalog.rows import EmbeddingRow, FeatureRow, LabelRow, WordRow
from steersman_catalog.terms import terms_of
from steersman_catalog.writer import write_catalog


def found(catalog: Catalog, query: str) -> list[int]:
    return [feature.index for feature in catalog.search(query, limit=100)[0]]


def test_a_label_with_the_word_ranks_before_other_words(catalog: Catalog) -> None:
    assert found(catalog, "chicken") == [3, 1, 4]


def test_case_and_a_plural_s_do_not_matter(catalog: Catalog) -> None:
    assert found(catalog, "RECIPES") == found(catalog, "recipe") == [3, 1]


def test_a_feature_with_both_words_ranks_first(catalog: Catalog) -> None:
    assert found(catalog, "oven recipe")[0] == 1


def test_the_score_is_bm25_as_a_share_of_the_most_there_can_be(catalog: Catalog) -> None:
    (feature,) = catalog.search("oven", limit=1)[0]
    length = 3 + 3 + 0.9  # oven and recipe of its label, and chicken
    average = (15 + length + 7 + 10 + 3.7 + 6) / 6
    rarity = math.log(1 + (6 - 1 + 0.5) / (1 + 0.5))
    expected = rarity * 3 * 2.2 / (3 + 1.2 * (0.75 + 0.25 * length / average))
    assert feature.score == pytest.approx(expected / (rarity * 2.2), abs=1e-3)


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_paging_through_a_search_gives_the_whole_search(catalog: Catalog, limit: int) -> None:
    seen, after, more = [], None, True
    while more and len(seen) <= len(catalog):
        page, more = catalog.search("recipe chicken eggs", limit=limit, after=after)
        seen += page
        after = seen[-1].index
    assert seen == catalog.search("recipe chicken eggs", limit=100)[0]


def test_after_a_feature_that_is_not_found_is_refused(catalog: Catalog) -> None:
    with pytest.raises(ValueError, match="`after` is 5"):
        catalog.search("chicken", limit=2, after=5)


@pytest.mark.parametrize("query", ["", "  \n"])
def test_an_empty_query_is_refused(catalog: Catalog, query: str) -> None:
    with pytest.raises(ValueError, match="no word"):
        catalog.search(query, limit=5)


@pytest.mark.parametrize(
    "query", ["zebra", "'; DROP TABLE terms; --", "zebra%", "_", "chick%", "\x00", "100 %' OR 1=1"]
)
def test_signs_of_sql_are_only_text(catalog: Catalog, query: str) -> None:
    assert 5 not in found(catalog, query)


def test_quotes_around_a_word_do_not_matter(catalog: Catalog) -> None:
    assert found(catalog, '"chicken"') == found(catalog, "chicken")


def test_a_sign_alone_can_be_searched_for(catalog: Catalog) -> None:
    assert found(catalog, "%") == [4]


def test_a_label_that_is_not_shown_is_found_too(catalog: Catalog) -> None:
    assert found(catalog, "opinion") == [2]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("Straße, GRASS", ["strasse", "grass"]),
        ("cats is bus", ["cat", "is", "bus"]),
        ("<|im_end|>", ["im_end"]),
        ("?!", ["?!"]),
    ],
)
def test_terms(text: str, terms: list[str]) -> None:
    assert terms_of(text) == terms


FEATURES, DIM = 200, 24
VOCABULARY = [f"word{number}" for number in range(40)]


class Fixed:
    """Embeds every query alike."""

    name, dim = "fixed", DIM
    direction = np.random.default_rng(5).standard_normal(DIM).astype(np.float32)

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.stack([self.direction / np.linalg.norm(self.direction)] * len(texts))


Weights = Mapping[int, dict[str, float]]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Catalog, Weights, np.ndarray]:
    """A catalogue of drawn words and directions; of every third feature no label is embedded."""
    random = np.random.default_rng(0)
    rows, weights = [], {}
    stored = random.integers(-127, 128, (FEATURES, DIM))
    for feature in range(FEATURES):
        label, word = random.choice(VOCABULARY, 3).tolist(), str(random.choice(VOCABULARY))
        facts = {"h_max": 1.0, "density": feature / FEATURES, "mean_activation": 1.0, "num_documents": 9}
        text, about = " ".join(label), {"kind": "mixed", "explainer": "made", "shown": True}
        rows.append(FeatureRow(feature=feature, **facts))
        rows.append(LabelRow(label=feature, feature=feature, text=text, **about))
        rows.append(WordRow(feature=feature, text=word, weight=0.5))
        if feature % 3:
            rows.append(EmbeddingRow(label=feature, embedding=stored[feature].tolist()))
        weights[feature] = {term: 3.0 * (term in label) + 0.5 * (term == word) for term in (*label, word)}
    path = tmp_path_factory.mktemp("drawn") / "catalog.duckdb"
    write_catalog(path, {"embedder": Fixed.name}, rows)
    stored[::3] = 0
    return Catalog.open(path, Fixed()), weights, stored.astype(np.float64)


def bm25(weights: Weights, query: str) -> np.ndarray:
    """Share of the most that the query's words can give, of every feature."""
    average = np.mean([sum(own.values()) for own in weights.values()])
    scores, most = np.zeros(len(weights)), 0.0
    for term in query.split():
        spread = sum(term in own for own in weights.values())
        rarity = math.log(1 + (len(weights) - spread + 0.5) / (spread + 0.5))
        most += rarity * 2.2
        for feature, own in weights.items():
            weight = own.get(term, 0.0)
            length = 0.75 + 0.25 * sum(own.values()) / average
            scores[feature] += rarity * 2.2 * weight / (weight + 1.2 * length)
    return scores / most


def cosines(stored: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(stored, axis=1) * np.linalg.norm(Fixed.direction.astype(np.float64))
    return np.clip(stored @ Fixed.direction / np.where(norms > 0, norms, 1), 0, 1)


@pytest.mark.parametrize("query", ["word3", "word7 word11", "word0 word1 word2 word39", "word5 zebra"])
@pytest.mark.parametrize("mode", ["keyword", "semantic", "hybrid"])
def test_a_search_finds_what_the_plain_formula_does_in_its_order(drawn, query: str, mode) -> None:
    catalog, weights, stored = drawn
    words, meaning = bm25(weights, query), cosines(stored)
    expected = {"keyword": words, "semantic": meaning, "hybrid": (words + meaning) / 2}[mode]
    page, more = catalog.search(query, limit=FEATURES, mode=mode)
    assert {feature.index for feature in page} == set(np.flatnonzero(expected > 5e-5).tolist())
    assert not more
    assert [f.score for f in page] == pytest.approx([expected[f.index] for f in page], abs=1e-3)
    assert np.all(np.diff([expected[f.index] for f in page]) < 1e-3)  # scores of words have three decimals


def test_a_filtered_search_is_the_search_without_the_others(drawn) -> None:
    catalog, _, _ = drawn
    whole, _ = catalog.search("word3 word4", limit=FEATURES, mode="hybrid")
    where = FeatureFilter(max_density=0.5)
    kept, more = catalog.search("word3 word4", limit=5, mode="hybrid", where=where)
    assert kept == [feature for feature in whole if feature.density <= 0.5][:5]
    assert more
