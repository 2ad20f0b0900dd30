"""Words from tokens, words that stand out, and the labels they make."""

import math

import numpy as np
import pytest
from msgspec.structs import replace

from steersman_training.labelling.log_odds import z_scores
from steersman_training.labelling.protocols import Effects, Excerpt, FeatureEvidence, Revision, Weighted
from steersman_training.labelling.statistical import StatisticalExplainer
from steersman_training.labelling.word_facts import damped
from steersman_training.labelling.wording import named
from steersman_training.labelling.words import words_of


def evidence(*words: tuple[str, float, float]) -> FeatureEvidence:
    """A feature that fires on (word, z, share) in many documents."""
    return FeatureEvidence(
        feature=0,
        h_max=1.0,
        density=0.01,
        examples=(),
        inactive=(),
        firing_words=tuple(Weighted(*word) for word in words),
        context_words=(),
        previous_words=(),
        promoted=(),
        suppressed=(),
        roles={"user": 1.0},
        role_base={"user": 0.9},
        special_share=0.0,
        position_bits=0.0,
        early_share=0.1,
        num_documents=50,
    )


def label(found: FeatureEvidence) -> str:
    return StatisticalExplainer().label(found).text


def test_z_scores_by_hand() -> None:
    # ours 3 + 1, 1 + 1; background 4 + 1, 4 + 1: ln(4/2) - ln(5/5), with variance 1/4 + 1/5
    z = z_scores(np.array([3.0, 1.0]), np.array([4.0, 4.0]), prior_words=2)
    assert z[0] == pytest.approx(math.log(2) / math.sqrt(1 / 4 + 1 / 5))


def test_words_without_a_count_may_be_left_out() -> None:
    count, background = np.array([3.0, 0.0, 2.0]), np.array([10.0, 50.0, 40.0])
    some = z_scores(count[[0, 2]], background[[0, 2]], total=100.0)
    np.testing.assert_allclose(some, z_scores(count, background)[[0, 2]])


def test_a_word_as_frequent_as_in_the_background_scores_zero() -> None:
    assert z_scores(np.array([1.0, 3.0]), np.array([10.0, 30.0])) == pytest.approx([0, 0])


def test_more_evidence_of_the_same_share_scores_higher() -> None:
    background = np.array([10.0, 1000.0])
    few, many = (z_scores(np.array([n, n]), background)[0] for n in (2.0, 20.0))
    assert many > few


def test_repeats_in_one_document_count_by_their_root() -> None:
    word, weight = damped(np.array([5, 5, 5, 5, 5]), np.ones(5), np.array([0, 0, 0, 0, 1]), 2)
    assert dict(zip(zip(word, range(2), strict=True), weight, strict=True)) == {(5, 0): 2.0, (5, 1): 1.0}


def test_a_label_names_the_words_that_stand_out() -> None:
    assert label(evidence(("chicken", 20.0, 0.5), ("oven", 15.0, 0.3))) == "chicken, oven"


def test_one_word_is_enough_where_it_is_nearly_all() -> None:
    assert label(evidence(("oven", 30.0, 0.02), (",", 20.0, 0.98))) == "comma"


def test_what_comes_before_is_named_where_the_word_is_always_the_same() -> None:
    found = replace(evidence(("of", 30.0, 0.98)), context_words=(Weighted("court", 12.0), Weighted("a", 2.0)))
    assert label(found) == "of after court"


def test_forms_of_a_word_are_named_once() -> None:
    found = evidence(
        ("changes", 20.0, 0.3), ("change", 18.0, 0.2), ("changing", 9.0, 0.1), ("chart", 8.0, 0.1)
    )
    assert label(found) == "changes, chart"


def test_words_far_behind_the_first_are_left_out() -> None:
    assert label(evidence(("please", 90.0, 0.6), ("furry", 6.0, 0.01))) == "please"


def test_words_that_hardly_stand_out_are_said_to_be_unclear() -> None:
    assert label(evidence(("furry", 4.0, 0.01), ("views", 3.9, 0.01))) == "unclear (furry, views)"


def test_the_word_just_before_is_named_where_it_is_mostly_the_same() -> None:
    words = evidence(("is", 30.0, 0.4), ("are", 20.0, 0.3))
    assert label(replace(words, previous_words=(Weighted("what", 40.0, 0.6),))) == "is, are after what"
    assert label(replace(words, previous_words=(Weighted("what", 40.0, 0.1),))) == "is, are"


def test_promoted_tokens_are_named_where_they_do_come_next() -> None:
    words = evidence(("able", 30.0, 0.4), ("want", 20.0, 0.3))
    draft = StatisticalExplainer().label(replace(words, next_tokens=(Weighted(" to", 9.0, 0.4),)))
    assert (draft.text, draft.kind) == ("able, want, before to", "output")
    assert label(replace(words, next_tokens=(Weighted(" to", 9.0, 0.1),))) == "able, want"


@pytest.mark.parametrize(
    ("word", "expected"),
    [("↵", "new line"), ("↵↵", "blank line"), ("↵␣␣", "indented line"), ("␣", "space"), ("});", "“});”")],
)
def test_blanks_and_signs_have_names(word: str, expected: str) -> None:
    assert named(word) == expected


def test_a_long_word_is_cut() -> None:
    assert label(evidence(("=" * 80, 9.0, 1.0))) == f"“{'=' * 23}…”"


def test_too_few_documents_are_said_to_be_unclear() -> None:
    draft = StatisticalExplainer().label(replace(evidence(("oven", 9.0, 1.0)), num_documents=2))
    assert (draft.kind, draft.text) == ("unclear", "unclear (oven)")


def test_a_feature_on_signs_is_named_by_what_it_does() -> None:
    effects = Effects(
        raised=(Weighted(" Sure", 3.0),), lowered=(), lost=(), gained=(), kl_raise=0.5, kl_ablate=0.1
    )
    assert (
        label(replace(evidence(("<|im_start|>", 9.0, 1.0)), effects=effects))
        == "leads to Sure; on <|im_start|>"
    )


def test_what_hardly_changes_is_not_named() -> None:
    effects = Effects(
        raised=(Weighted("osphorus", 0.001),), lowered=(), lost=(), gained=(), kl_raise=0.05, kl_ablate=0.0
    )
    assert label(replace(evidence(("<|im_start|>", 9.0, 1.0)), effects=effects)) == "<|im_start|>"


def test_the_system_message_is_named_where_it_holds_most() -> None:
    found = replace(
        evidence(("named", 9.0, 0.5)), roles={"system": 0.6, "user": 0.4}, role_base={"system": 0.04}
    )
    assert label(found) == "named (mostly system)"


def test_a_role_is_named_where_it_says_something() -> None:
    found = replace(evidence(("oven", 9.0, 0.5)), role_base={"user": 0.3})
    assert label(found) == "oven (user only)"


def test_a_revision_drops_words_that_mislead() -> None:
    def text(*tokens: str) -> Excerpt:
        return Excerpt(
            id="d:0",
            document="d",
            role="user",
            stratum=None,
            tokens=tokens,
            activations=(0.0,) * len(tokens),
            peak=0,
        )

    words = [(f"word{n}", 20.0 - n, 0.1) for n in range(9)]
    revision = Revision(
        label="", missed=(text("word8"),), mistaken=(text("word0"), text("word0")), confused_with=()
    )
    revised = label(replace(evidence(*words), revision=revision)).split(", ")
    assert "word8" in revised
    assert "word0" not in revised


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
