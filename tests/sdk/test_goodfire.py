"""What Goodfire's SDK sent is read, and written so that it reads the same."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman import Condition, Edits, Feature, FeatureEdit
from steersman.goodfire import read_controller, write_controller

leaves = st.builds(
    lambda index, op, value, other: Condition(feature=index, op=op, value=value, other=other),
    st.integers(0, 9),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.floats(-2, 2),
    st.none(),
) | st.builds(
    lambda one, other: Condition(feature=one, op=">", other=other), st.integers(0, 9), st.integers(0, 9)
)
conditions = st.recursive(
    leaves,
    lambda inner: (
        st.builds(lambda one, other: one & other, inner, inner)
        | st.builds(lambda one, other: one | other, inner, inner)
    ),
    max_leaves=6,
)
plain = st.builds(
    FeatureEdit, st.integers(0, 9), st.floats(-2, 2).filter(bool), st.sampled_from(["set", "add", "scale"])
)
scoped = st.builds(
    lambda edit, when: FeatureEdit(edit.feature, edit.strength, edit.mode, when=when), plain, conditions
)


def theirs(index: int) -> dict[str, Any]:
    named = {"uuid": "d3be7e00" * 4, "label": "a", "index_in_sae": index, "max_activation_strength": 1}
    return {"features": [named]}


@given(st.lists(plain, max_size=4), st.lists(scoped, max_size=4), st.lists(conditions, max_size=3))
def test_what_is_written_is_read_as_it_was(
    first: list[FeatureEdit], then: list[FeatureEdit], aborts: list[Condition]
) -> None:
    edits = (*first, *then)
    assert read_controller(write_controller(edits, aborts)) == (edits, tuple(aborts))


def test_a_group_of_conditions_keeps_its_nesting() -> None:
    one, two, three = (Condition(feature=index, op=">", value=0.5) for index in (1, 2, 3))
    edits = Edits([FeatureEdit(4, 0.5, when=(one & two) | three)])
    assert Edits.from_goodfire(edits.to_goodfire())[0].when == (one & two) | three


def test_a_nudge_adds_and_a_pin_sets() -> None:
    given = {
        "interventions": [
            {"mode": "nudge", "features": theirs(1), "value": 0.5},
            {"mode": "pin", "features": theirs(2), "value": -0.3},
        ],
        "scopes": [],
    }
    assert Edits.from_goodfire(given) == (FeatureEdit(1, 0.5, "add"), FeatureEdit(2, -0.3))


def test_a_variant_s_json_is_read() -> None:
    edit = {"feature_id": "x", "feature_label": "pirates", "index_in_sae": 7, "value": 0.4}
    assert Edits.from_goodfire({"base_model": "m", "edits": [edit]}) == (FeatureEdit(7, 0.4, "add"),)


def test_what_ends_an_answer_is_no_edit() -> None:
    ends = write_controller([], [Condition(feature=1, op=">", value=0.5)])
    with pytest.raises(ValueError, match="read_controller"):
        Edits.from_goodfire(ends)


@pytest.mark.parametrize(
    "edit",
    [
        FeatureEdit(1, 2.0, unit="raw"),
        FeatureEdit(1, 0.5, phase="prompt"),
        FeatureEdit(1, 0.5, when=~Condition(feature=2, op=">", value=0.1)),
        FeatureEdit(1, 0.5, when=Condition(feature=2, op=">", value=3.0, unit="raw")),
    ],
)
def test_what_a_controller_cannot_say_is_refused(edit: FeatureEdit) -> None:
    with pytest.raises(ValueError, match="no word"):
        Edits([edit]).to_goodfire()


def test_an_order_that_a_controller_would_turn_round_is_refused() -> None:
    when = Condition(feature=2, op=">", value=0.1)
    with pytest.raises(ValueError, match="Feature 1"):
        Edits([FeatureEdit(1, 0.5, when=when), FeatureEdit(1, 0.2)]).to_goodfire()


def test_one_feature_has_one_identity_wherever_it_comes_from() -> None:
    found, near = (
        Feature(
            index=7, label=label, label_kind="statistical", h_max=2.0, density=0.1, score=score, bundle="b@1"
        )
        for label, score in (("as searched", 0.9), ("as a neighbour", None))
    )
    assert {found: 0.5, near: 0.2} == {found: 0.2}
    assert (found == near) is True
