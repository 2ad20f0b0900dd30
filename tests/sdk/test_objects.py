"""The objects one thinks with: features, groups, conditions, edits, what was found."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from steersman import ChoiceAttribution, Condition, Edits, Feature, FeatureEdit, FeatureGroup, Inspection
from steersman.types import FeatureAttribution, InspectedFeature, TokenAttribution


def feature(index: int, label: str = "a label", bundle: str = "b@1") -> Feature:
    return Feature(index=index, label=label, label_kind="statistical", h_max=2.0, density=0.1, bundle=bundle)


indices = st.lists(st.integers(0, 20), max_size=8)
edits = st.builds(
    FeatureEdit,
    st.integers(0, 99),
    st.floats(-2, 2).filter(bool),
    st.sampled_from(["set", "add"]),
    phase=st.sampled_from(["all", "prompt", "generation"]),
)
leaves = st.builds(
    lambda index, op, value: Condition(feature=index, op=op, value=value),
    st.integers(0, 9),
    st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
    st.floats(-2, 2),
)
conditions = st.recursive(
    leaves,
    lambda inner: (
        st.builds(lambda one, other: one & other, inner, inner)
        | st.builds(lambda one, other: one | other, inner, inner)
        | st.builds(lambda one: ~one, inner)
    ),
    max_leaves=8,
)


def holds(condition: Condition, acts: dict[int, float]) -> bool:
    """What the condition means, in plain Python."""
    if condition.all is not None:
        return all(holds(part, acts) for part in condition.all)
    if condition.any is not None:
        return any(holds(part, acts) for part in condition.any)
    if condition.not_ is not None:
        return not holds(condition.not_, acts)
    assert condition.feature is not None and condition.value is not None
    value = acts[condition.feature]
    return {
        "<": value < condition.value,
        "<=": value <= condition.value,
        ">": value > condition.value,
        ">=": value >= condition.value,
        "==": value == condition.value,
        "!=": value != condition.value,
    }[condition.op or ""]


def test_a_feature_is_the_same_whatever_is_known_of_it() -> None:
    assert feature(3, "one") == feature(3, "another")
    assert len({feature(3, "one"), feature(3, "another")}) == 1


def test_the_same_index_of_another_bundle_is_another_feature() -> None:
    assert feature(3, bundle="a@1") != feature(3, bundle="b@2")


def test_a_comparison_makes_a_condition() -> None:
    assert (feature(3) > 0.5) == Condition(feature=3, op=">", value=0.5)
    assert (feature(3) <= feature(4)) == Condition(feature=3, op="<=", other=4)


def test_and_binds_as_it_is_written() -> None:
    one, two, three = (feature(index) > 0 for index in (1, 2, 3))
    only_three = {1: 0.0, 2: 0.0, 3: 1.0}
    assert holds((one & two) | three, only_three)
    assert not holds(one & (two | three), only_three)


def test_pythons_own_and_is_refused() -> None:
    with pytest.raises(TypeError, match=r"& \| ~"):
        _ = (feature(1) > 0) and (feature(2) > 0)


@given(conditions)
def test_a_condition_survives_json(condition: Condition) -> None:
    assert msgspec.json.decode(msgspec.json.encode(condition), type=Condition) == condition


@given(conditions, conditions, st.lists(st.floats(-2, 2), min_size=10, max_size=10))
def test_conditions_join_as_logic_does(one: Condition, other: Condition, values: list[float]) -> None:
    acts = dict(enumerate(values))
    assert holds(one & other, acts) == (holds(one, acts) and holds(other, acts))
    assert holds(one | other, acts) == (holds(one, acts) or holds(other, acts))
    assert holds(~one, acts) == (not holds(one, acts))


@given(indices, indices)
def test_groups_are_sets_that_keep_their_order(one: list[int], other: list[int]) -> None:
    left, right = (FeatureGroup.of(map(feature, each)) for each in (one, other))
    assert left.indices == tuple(dict.fromkeys(one))
    assert set((left | right).indices) == set(one) | set(other)
    assert set((left & right).indices) == set(one) & set(other)
    assert set((left - right).indices) == set(one) - set(other)
    assert set((left ^ right).indices) == set(one) ^ set(other)


def test_a_group_is_sliced_and_picked_from() -> None:
    group = FeatureGroup.of(map(feature, (5, 6, 7, 8)))
    assert group[-1] == feature(8)
    assert group[::-1].indices == (8, 7, 6, 5)
    assert group.pick(0, 2).indices == (5, 7)


@given(st.lists(edits, max_size=6))
def test_edits_survive_json(made: list[FeatureEdit]) -> None:
    assert Edits.from_json(Edits(made).json()) == Edits(made)


def test_edits_are_carried_out_one_set_after_the_other() -> None:
    assert Edits([FeatureEdit(1, 0.5)]) + Edits([FeatureEdit(1, 0.2, "add")]) == (
        FeatureEdit(1, 0.5),
        FeatureEdit(1, 0.2, "add"),
    )


def test_edits_are_made_weaker() -> None:
    made = Edits([FeatureEdit(1, 0.5), FeatureEdit(2, -1.0, "add"), FeatureEdit(3, 0.0, "scale")])
    assert [edit.strength for edit in made * 0.5] == [0.25, -0.5, 0.5]


def test_edits_times_nothing_would_be_silent_and_are_refused() -> None:
    with pytest.raises(ValueError, match="0"):
        _ = Edits([FeatureEdit(1, 0.5)]) * 0


def test_features_are_taken_out_of_edits() -> None:
    made = Edits([FeatureEdit(1, 0.5), FeatureEdit(2, 0.5), FeatureEdit(3, 0.5)])
    assert (made - 1 - feature(2)).features == (3,)


def test_a_wrong_edit_is_named() -> None:
    with pytest.raises(ValueError, match="strenght"):
        Edits.of([{"feature": 1, "strenght": 2}])


def inspection() -> Inspection:
    listed = [
        InspectedFeature(feature=1, label="a", h_max=9, max=5, mean=1, sum=6, count=2, position=1),
        InspectedFeature(feature=2, label="<b>", h_max=9, max=1, mean=1, sum=5, count=5, position=0),
    ]
    tokens = [
        {"position": 0, "token": "<i>", "features": [{"feature": 2, "activation": 1.0}]},
        {"position": 1, "token": " you", "features": [{"feature": 1, "activation": 5.0}]},
    ]
    filled = [{"role": "user", "kind": "content", "is_sink": False, **token} for token in tokens]
    rest = {"object": "inspection", "model": "tiny", "num_tokens": 2}
    return msgspec.convert({**rest, "features": msgspec.to_builtins(listed), "tokens": filled}, Inspection)


def test_the_top_of_an_inspection_is_by_what_was_asked_for() -> None:
    assert [each.feature for each in inspection().top(1, by="max")] == [1]
    assert [each.feature for each in inspection().top(1, by="count")] == [2]


def test_an_inspection_has_columns() -> None:
    assert inspection().column(1) == [0.0, 5.0]
    assert inspection().columns() == {2: [(0, 1.0)], 1: [(1, 5.0)]}


def attribution() -> ChoiceAttribution:
    def token(index: int, *scores: tuple[int, float]) -> TokenAttribution:
        found = [FeatureAttribution(feature, "f", score, 1.0, 4.0) for feature, score in scores]
        return TokenAttribution(index, "t", 1.0, found)

    tokens = [token(0, (1, 2.0), (2, -1.0)), token(1, (1, 0.5), (2, -3.0), (3, 0.1))]
    return ChoiceAttribution(0, "gradient", "logit_minus_mean", tokens)


def test_the_top_of_an_attribution_is_summed_over_tokens() -> None:
    assert [(each.feature, each.attribution) for each in attribution().top(2)] == [(2, -4.0), (1, 2.5)]


def test_suggested_edits_turn_up_what_pushes_and_down_what_holds_back() -> None:
    assert attribution().suggested_edits(2, strength=0.3) == [FeatureEdit(2, -0.3), FeatureEdit(1, 0.3)]


def test_what_a_notebook_shows_is_escaped() -> None:
    shown = inspection()._repr_html_() + feature(1, "<script>")._repr_html_()
    assert "<script>" not in shown and "<i>" not in shown and "<b></" not in shown
    assert "&lt;script&gt;" in shown and "&lt;i&gt;" in shown


def test_objects_go_into_a_request_as_they_are() -> None:
    made = Edits([feature(7).edit(0.5)])
    assert json.loads(made.json()) == [{"feature": 7, "strength": 0.5}]
