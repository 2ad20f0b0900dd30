"""Conditions, all tokens at once, against each token by itself."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.conftest import MakeEngine
from tests.engine.tools import ask, ask_all, holds, prompt_of, request

from steersman_engine.conditions import (
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    ConditionTable,
    FeatureAct,
    Not,
    features_of,
)
from steersman_engine.edits import AffineEdit
from steersman_engine.engine import Abort
from steersman_engine.host import HostModel
from steersman_engine.local_engine import LocalEngine
from steersman_engine.sae import SAE

VALUES = (0.0, 0.5, 1.0)
comparisons = st.builds(
    Comparison,
    st.integers(0, 3),
    st.sampled_from(["<", "<=", "==", "!=", ">=", ">"]),
    st.sampled_from(VALUES) | st.builds(FeatureAct, st.integers(0, 3)),
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    comparisons,
    lambda inner: (
        st.builds(Not, inner)
        | st.builds(AllOf, st.lists(inner, min_size=1, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(inner, min_size=1, max_size=3).map(tuple))
    ),
    max_leaves=6,
)
acts = st.lists(st.lists(st.sampled_from(VALUES), min_size=4, max_size=4), min_size=1, max_size=5)


@settings(max_examples=80, deadline=None)
@given(st.lists(conditions, max_size=4), acts)
def test_a_table_says_what_each_condition_says_of_each_token(
    trees: list[Condition], h: list[list[float]]
) -> None:
    columns = {feature: 3 - feature for feature in range(4)}  # the table is told where each feature is
    table = ConditionTable([(tree, columns) for tree in trees], torch.device("cpu"))
    found = table.hold(torch.tensor(h).flip(1))
    assert found.tolist() == [[holds(tree, token) for tree in trees] for token in h]


def test_the_features_of_a_tree_are_all_that_it_reads() -> None:
    tree = AllOf((Comparison(3, ">", FeatureAct(7)), Not(AnyOf((Comparison(1, "<", 0.5),)))))
    assert list(features_of(tree)) == [3, 7, 1]


def _acts(host: HostModel, sae: SAE, ids: tuple[int, ...], feature: int) -> list[float]:
    return sae.encode(host.residual(torch.tensor([ids]))[0])[:, feature].tolist()


def test_an_abort_on_the_prompt_names_condition_and_position(
    engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    ids = (1, *range(30, 50))  # three chunks
    h = _acts(tiny_host, tiny_sae, ids, 4)
    bound = sorted(h)[-2]
    where = h.index(max(h))
    never, above = Comparison(4, "<", 0.0), Comparison(4, ">", bound + 1e-6)
    answer = ask(engine, request(prompt=prompt_of(*ids), abort_when=(never, above)))
    assert answer.tokens == []
    assert (answer.last.finish, answer.last.abort) == ("abort", Abort(1, where))


def test_an_abort_on_the_answer_ends_it_where_the_token_was_read(
    engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    plain = ask(engine, request(max_tokens=20)).tokens
    ids = (1, 40, 50, *plain)
    acts = tiny_sae.encode(tiny_host.residual(torch.tensor([ids]))[0])
    peaks = acts.argmax(0)
    feature = int(((peaks > 5) & (peaks < 20)).nonzero()[0])  # it is highest at a token of the answer
    h, where = acts[:, feature].tolist(), int(peaks[feature])
    condition = Comparison(feature, ">=", h[where] - 1e-6)
    others = [request(prompt=prompt_of(1, 60 + i)) for i in range(2)]
    answer, *rest = ask_all(engine, [request(max_tokens=20, abort_when=(condition,)), *others])
    assert answer.last.abort == Abort(0, where)
    assert answer.tokens == plain[: where - 3 + 1]
    assert all(one.last.finish == "length" for one in rest)


def test_an_abort_sees_a_prompt_that_was_reused(
    engine: LocalEngine, tiny_host: HostModel, tiny_sae: SAE
) -> None:
    ids = (1, *range(30, 60))
    ask(engine, request(prompt=prompt_of(*ids)))
    h = _acts(tiny_host, tiny_sae, ids, 4)
    where = h.index(max(h[:-1]))
    condition = Comparison(4, ">=", h[where] - 1e-6)
    reused = engine.stats().reused_tokens_total
    answer = ask(engine, request(prompt=prompt_of(*ids), abort_when=(condition,)))
    assert engine.stats().reused_tokens_total - reused == len(ids) - 1
    assert answer.last.abort == Abort(0, where)


def test_a_condition_never_holds_at_a_sink(make_engine: MakeEngine, tiny_host: HostModel) -> None:
    ids = (1, *range(30, 40))
    norms = tiny_host.residual(torch.tensor([ids]))[0].norm(dim=-1)
    sink_norm = float(norms.median())
    engine = make_engine(sink_norm=sink_norm)
    always = Not(Comparison(4, "<", 0.0))
    answer = ask(engine, request(prompt=prompt_of(*ids), abort_when=(always,)))
    assert answer.last.abort == Abort(0, int((norms <= sink_norm).nonzero()[0]))


def test_a_condition_reads_activations_before_edits(engine: LocalEngine) -> None:
    raised = request(edits=(AffineEdit(4, 0.0, 500.0),), abort_when=(Comparison(4, ">", 400.0),))
    assert ask(engine, raised).last.finish == "length"
