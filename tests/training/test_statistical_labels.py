"""Words from tokens, words that stand out, and the labels they make."""

import math

import numpy as np
import pytest

from steersman_training.firings import Firings
from steersman_training.labelling.log_odds import z_scores
from steersman_training.statistical_labels import Describer
from steersman_training.labelling.words import Words, words_of

FILLER = 40


def firings(where: list[int], value: list[float], *, documents: int = 12, length: int = 100) -> Firings:
    """One feature that fires in equally long documents."""
    tokens = documents * length
    return Firings(
        documents=[str(n) for n in range(documents)],
        starts=np.arange(0, tokens + 1, length),
        token=np.zeros(tokens, np.int32),
        role=np.ones(tokens, np.uint8),
        counted=np.ones(tokens, bool),
        feature_starts=np.array([0, len(where)]),
        where=np.array(where, np.int32),
        value=np.array(value, np.float32),
    )


def words(special: dict[int, str]) -> Words:
    """Filler, but for some positions of each hundred."""
    names = [f"filler{n}" for n in range(FILLER)] + list(special.values())
    one = np.arange(100) % FILLER
    for number, place in enumerate(special):
        one[place] = FILLER + number
    return Words(names, np.tile(one, 12))


def test_z_scores_by_hand() -> None:
    # ours 3 + 1, 1 + 1; background 4 + 1, 4 + 1: ln(4/2) - ln(5/5), with variance 1/4 + 1/5
    z = z_scores(np.array([3.0, 1.0]), np.array([4.0, 4.0]), prior_words=2)
    assert z[0] == pytest.approx(math.log(2) / math.sqrt(1 / 4 + 1 / 5))


def test_a_word_as_frequent_as_in_the_background_scores_zero() -> None:
    assert z_scores(np.array([1.0, 3.0]), np.array([10.0, 30.0])) == pytest.approx([0, 0])


def test_more_evidence_of_the_same_share_scores_higher() -> None:
    background = np.array([10.0, 1000.0])
    few, many = (z_scores(np.array([n, n]), background)[0] for n in (2.0, 20.0))
    assert many > few


def test_a_label_names_the_words_a_feature_fires_on() -> None:
    where = [n * 100 + place for n in range(12) for place in (5, 6)]
    found = Describer(firings(where, [2.0, 1.5] * 12), words({5: "chicken", 6: "oven"})).describe(0)
    assert (found.label.text, found.flags) == ("chicken, oven", [])


def test_one_word_is_enough_where_it_is_nearly_all() -> None:
    where = [n * 100 + place for n in range(12) for place in (5, 6)]
    found = Describer(firings(where, [99.0, 1.0] * 12), words({5: ",", 6: "oven"})).describe(0)
    assert found.label.text == "“,”"


def test_a_long_word_is_cut_in_a_label() -> None:
    where = [n * 100 + 5 for n in range(12)]
    found = Describer(firings(where, [1.0] * 12), words({5: "=" * 80})).describe(0)
    assert found.label.text == f"“{'=' * 23}…”"


def test_a_feature_is_found_by_more_words_than_its_label_has() -> None:
    places = {place: f"word{place}" for place in range(10)}
    where = [n * 100 + place for n in range(12) for place in places]
    found = Describer(firings(where, [1.0] * 120), words(places)).describe(0)
    assert {word.text for word in found.words} == set(places.values())
    assert all(0 < word.weight <= 1 for word in found.words)


def test_a_word_of_one_document_is_no_part_of_a_label() -> None:
    hash_of_one = words({5: "chicken", 6: "oven"})
    hash_of_one.text.append("a3c72f42")
    hash_of_one.of_token[10:30] = len(hash_of_one.text) - 1
    where = list(range(10, 30)) + [n * 100 + place for n in range(12) for place in (5, 6)]
    found = Describer(firings(sorted(where), [1.0] * 44), hash_of_one).describe(0)
    assert found.label.text == "chicken, oven"


def test_a_higher_activation_counts_for_more() -> None:
    where = [n * 100 + place for n in range(12) for place in (5, 6)]
    both = words({5: "chicken", 6: "oven"})
    found = Describer(firings(where, [1.0, 1.5] * 12), both).describe(0)
    assert found.label.text == "oven, chicken"


def test_firings_in_one_document_are_too_few() -> None:
    found = Describer(firings([5, 6], [1.0, 1.0]), words({5: "chicken", 6: "oven"})).describe(0)
    assert found.flags == ["few_firings"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A Cat, 12 cats", ["a", "␣", "cat", ",", "␣", "12", "␣", "cats"]),
        ("Don't", ["don", "'", "t"]),
        ("été naïf", ["été", "␣", "naïf"]),
        ("日本 ok", ["日", "本", "␣", "ok"]),
        ("x\n\ny", ["x", "↵", "↵", "y"]),
        ("Hi<|im_end|>\n", ["hi", "<|im_end|>", "↵"]),
    ],
)
def test_words_are_rebuilt_from_tokens(tiny_tokenizer, text: str, expected: list[str]) -> None:
    token_ids = tiny_tokenizer(text, add_special_tokens=False)["input_ids"]
    found = words_of(tiny_tokenizer, np.array(token_ids), np.array([0, len(token_ids)]))
    seen = [found.text[index] for index in found.of_token]
    assert [word for n, word in enumerate(seen) if n == 0 or word != seen[n - 1] or word == "↵"] == expected


def test_every_token_has_a_word_and_none_crosses_a_document(tiny_tokenizer) -> None:
    token_ids = tiny_tokenizer("abcdé", add_special_tokens=False)["input_ids"]  # é is two tokens
    found = words_of(tiny_tokenizer, np.array(token_ids), np.array([0, 2, 5, 6]))
    assert [found.text[index] for index in found.of_token] == ["ab", "ab", "cd", "cd", "�", "�"]
