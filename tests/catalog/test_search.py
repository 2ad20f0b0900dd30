"""Searching by words."""

import math

import pytest

from steersman_catalog import Catalog
from steersman_catalog.terms import terms_of


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
