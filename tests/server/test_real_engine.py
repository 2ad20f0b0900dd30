"""The server over the real engine, with a tiny random model."""

import json
from collections.abc import Iterator

import pytest
from litestar.testing import TestClient

from steersman_server.app import create_app
from steersman_server.config import ServerConfig

EDIT = {"feature": 7, "strength": 2.0}


@pytest.fixture
def http(really_served) -> Iterator[TestClient]:
    with TestClient(create_app(really_served, ServerConfig()), base_url="http://127.0.0.1") as client:
        yield client


def ask(http, **fields):
    body = {"model": "org/tiny", "messages": [{"role": "user", "content": "Hi"}]}
    answer = http.post("/v1/chat/completions", json=body | {"max_tokens": 8, "seed": 1} | fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def facts(receipt):
    """What a receipt says, but for the last bits of a mean: they depend on what was computed together."""
    edits = [edit | {"mean_activation_before": None} for edit in receipt["edits"]]
    return receipt | {"edits": edits}


def text(answer):
    return answer["choices"][0]["message"]["content"]


def test_an_edit_changes_the_answer_and_the_next_is_as_before(http):
    before, steered, after = ask(http), ask(http, feature_edits=[EDIT]), ask(http)
    assert text(before) == text(after) != text(steered)


def test_the_receipt_counts_the_tokens_that_were_edited(http):
    answer = ask(http, feature_edits=[EDIT])
    edited = answer["steering"]["edits"][0]["tokens_edited"]
    assert edited == answer["usage"]["total_tokens"] - 1  # the last token is read by none


def test_the_receipt_of_an_answer_that_a_stop_string_ended_counts_no_more(http):
    stop = text(ask(http, feature_edits=[EDIT]))[2]
    answer = ask(http, feature_edits=[EDIT], stop=stop)
    edited = answer["steering"]["edits"][0]["tokens_edited"]
    assert edited == answer["usage"]["total_tokens"] - 1


def test_each_token_of_a_steered_answer_is_attributed(http):
    answer = ask(http, feature_edits=[EDIT], attribution={"top_k": 3})
    tokens = answer["attribution"][0]["tokens"]
    assert [token["index"] for token in tokens] == list(range(answer["usage"]["completion_tokens"]))
    assert all(len(token["features"]) == 3 for token in tokens)


def test_replaying_a_receipt_gives_the_same_text(http):
    edits = [EDIT, {"feature": 3, "mode": "add", "strength": -1.0, "phase": "generation"}]
    first = ask(http, seed=None, feature_edits=edits, n=2)
    receipt = first["steering"]
    fields = ("feature", "strength", "mode", "unit", "phase", "roles", "when")
    replayed = [{name: edit[name] for name in fields if name in edit} for edit in receipt["edits"]]
    again = ask(http, seed=receipt["seed"], feature_edits=replayed, n=2)
    assert [choice["message"] for choice in again["choices"]] == [
        choice["message"] for choice in first["choices"]
    ]
    assert facts(again["steering"]) == facts(receipt)


def test_a_condition_that_never_holds_leaves_the_answer_plain(http):
    never = {"feature": 7, "op": ">", "value": 1e6}
    steered = ask(http, feature_edits=[EDIT | {"when": never}])
    assert text(steered) == text(ask(http))
    assert steered["steering"]["edits"][0]["tokens_edited"] == 0


def test_a_condition_that_always_holds_changes_nothing_of_the_edit(http):
    always = {"not": {"feature": 7, "op": ">", "value": 1e6}}
    assert text(ask(http, feature_edits=[EDIT | {"when": always}])) == text(ask(http, feature_edits=[EDIT]))


def test_an_abort_stops_the_work(http):
    answer = ask(http, abort_when=[{"feature": 3, "op": ">=", "value": 0}])
    (abort,) = answer["steering"]["abort"]
    assert answer["choices"][0]["finish_reason"] == "content_filter"
    assert (abort["condition"], answer["usage"]["completion_tokens"]) == (0, 0)
    assert abort["index"] is None  # it held in the prompt


def test_goodfire_s_controller_means_what_our_edits_mean(http):
    feature = {
        "uuid": "d3be7e00d3be7e00d3be7e00d3be7e00",
        "label": "a",
        "index_in_sae": 7,
        "max_activation_strength": 1,
    }
    features = {"features": [feature]}
    empty = {"nonzero_strength_threshold": None, "min_nudge_entropy": None, "max_nudge_entropy": None}
    inner = {
        "interventions": [{"mode": "nudge", "features": features, "value": 0.5}],
        "scopes": [],
        "name": "b",
        **empty,
    }
    condition = {"left_hand": features, "right_hand": 0.1, "operator": ">"}
    controller = {
        "interventions": [{"mode": "pin", "features": features, "value": 1.0}],
        "scopes": [
            {
                "conditionals": {"conditionals": [condition], "operator": "AND"},
                "controller": inner,
                "is_active": False,
                "event_name": None,
            }
        ],
        "name": "controller__1",
        **empty,
    }
    when = {"feature": 7, "op": ">", "value": 0.1}
    ours = [{"feature": 7, "strength": 1.0}, {"feature": 7, "mode": "add", "strength": 0.5, "when": when}]
    theirs = ask(http, controller=controller)
    assert text(theirs) == text(ask(http, feature_edits=ours))
    assert facts(theirs["steering"]) == facts(ask(http, feature_edits=ours)["steering"])
    variant = {
        "base_model": "m",
        "edits": [{"feature_id": "x", "feature_label": "a", "index_in_sae": 7, "value": 0.5}],
        "scopes": [],
    }
    assert ask(http, controller=variant)["steering"]["edits"][0]["mode"] == "add"


def test_goodfire_s_groups_nest_and_its_events_end_the_answer(http):
    def of(index):
        return {
            "features": [{"uuid": "u", "label": "a", "index_in_sae": index, "max_activation_strength": 1}]
        }

    def scope(conditionals, operator, event_name=None):
        inner = {"interventions": [], "scopes": []}
        group = {"conditionals": conditionals, "operator": operator}
        return {"conditionals": group, "controller": inner, "is_active": False, "event_name": event_name}

    never = {"left_hand": of(7), "right_hand": 1e6, "operator": ">"}
    always = {"left_hand": of(3), "right_hand": of(3), "operator": ">="}
    both = {"conditionals": [never, always], "operator": "AND"}
    for conditionals, operator, reason in (
        ([both, always], "OR", "content_filter"),
        ([both, never], "OR", "length"),
        ([both, always], "AND", "length"),
    ):
        controller = {"interventions": [], "scopes": [scope(conditionals, operator, "e")]}
        answer = ask(http, controller=controller, ignore_eos=True)
        assert answer["choices"][0]["finish_reason"] == reason


def test_json_is_json_under_edits(http):
    schema = {
        "type": "object",
        "properties": {"yes": {"type": "boolean"}},
        "required": ["yes"],
        "additionalProperties": False,
    }
    asked = {"type": "json_schema", "json_schema": {"name": "yes", "schema": schema}}
    for edits in ([], [EDIT]):
        answer = ask(http, response_format=asked, feature_edits=edits, max_tokens=60, temperature=2)
        assert json.loads(text(answer)).keys() == {"yes"}
        assert answer["choices"][0]["finish_reason"] == "stop"


def test_an_answer_may_be_kept_from_ending(http):
    answer = ask(http, max_tokens=30, min_tokens=20, temperature=2)
    assert answer["usage"]["completion_tokens"] >= 20


def test_a_sweep_s_rows_are_the_answers_asked_for_one_by_one(http, really_served):
    sweep = [[], [EDIT], [EDIT | {"strength": -1.0}]]
    body = {
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 8,
        "seed": 1,
        "sweep": sweep,
        "score": True,
    }
    before = really_served.engine.stats().half_reused_tokens_total
    answer = http.post("/v1/sweeps", json=body).json()
    shared = really_served.engine.stats().half_reused_tokens_total - before
    assert shared == 2 * (answer["usage"]["prompt_tokens"] - 1)  # below the SAE the rows differ in nothing
    assert [row["message"]["content"] for row in answer["data"]] == [
        text(ask(http, feature_edits=edits)) for edits in sweep
    ]
    assert all(row["plain_logprob"] < 0 for row in answer["data"] if row["completion_tokens"])


def test_logits_scores_and_log_probabilities_agree(http):
    messages = [{"role": "user", "content": "Hi"}]
    (likeliest,) = http.post(
        "/v1/logits", json={"messages": messages, "feature_edits": [EDIT], "top_k": 1}
    ).json()["data"]
    answer = ask(http, feature_edits=[EDIT], temperature=0, logprobs=True, max_tokens=1)
    (first,) = answer["choices"][0]["logprobs"]["content"] or [None]
    if first is not None:
        assert first["logprob"] == pytest.approx(likeliest["logprob"], abs=1e-4)


def test_a_text_is_scored_token_by_token(http):
    answer = http.post(
        "/v1/completions", json={"prompt": "Hi you", "echo": True, "logprobs": 1, "max_tokens": 1}
    ).json()
    scores = answer["choices"][0]["logprobs"]["token_logprobs"]
    assert scores[0] is None
    assert all(score < 0 for score in scores[1:])


def test_inspecting_an_edited_conversation_shows_the_edit(http):
    body = {"messages": [{"role": "user", "content": "Hi"}], "features": [7], "top_k_per_token": 5}
    found = http.post("/v1/features/inspect", json=body | {"feature_edits": [EDIT]}).json()
    values = {active["activation"] for token in found["tokens"] for active in token["features"]}
    assert values == {8.0}  # twice its h_max, at every token


def test_every_sign_and_aggregate_of_attribution_is_answered(http):
    for aggregate in ("sum", "max", "per_position"):
        for sign in ("both", "positive", "negative"):
            asked = {"tokens": [-1], "top_k": 3, "aggregate": aggregate, "sign": sign}
            answer = ask(http, attribution=asked, ignore_eos=True, max_tokens=4)
            features = answer["attribution"][0]["tokens"][0]["features"]
            assert all(("at" in feature) == (aggregate == "per_position") for feature in features)
            if sign != "both":
                assert all((feature["attribution"] > 0) == (sign == "positive") for feature in features)


def test_features_that_fire_are_told_while_the_answer_is_written(http):
    answer = ask(http, activations={"top_k": 2}, ignore_eos=True, max_tokens=5)
    tokens = answer["activations"][0]["tokens"]
    assert [token["index"] for token in tokens] == list(range(len(tokens)))
    assert len(tokens) in (4, 5)


def test_contrast_runs_on_the_real_engine(http):
    chats = [[{"role": "user", "content": content}] for content in ("aaaa", "zzzz")]
    found = http.post(
        "/v1/features/contrast", json={"positive": chats[:1], "negative": chats[1:], "top_k": 3}
    ).json()
    assert found["positive"] and found["positive"][0]["score"] > 0


def test_the_engine_s_numbers_are_in_the_metrics(http):
    ask(http)
    shown = http.get("/metrics").text
    assert "# TYPE steersman_generated_tokens_total counter" in shown
    assert 'steersman_http_requests_total{method="POST",path="/v1/chat/completions",status="200"}' in shown
