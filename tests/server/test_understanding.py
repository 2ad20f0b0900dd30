"""What fires, why, what tells texts apart, and what comes next."""

import math

import pytest

from steersman_engine.prompt import Kind

HELLO = [{"role": "user", "content": "banana"}]
ANSWERED = [*HELLO, {"role": "assistant", "content": "yes"}]
EDIT = {"feature": 1, "strength": 0.5}


def post(http, path, **fields):
    answer = http.post(path, json=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def refused(http, path, **fields):
    answer = http.post(path, json=fields)
    error = answer.json()["error"]
    return answer.status_code, error["param"], error["code"]


def test_inspecting_gives_what_fires_on_each_token_and_over_all(http):
    found = post(http, "/v1/features/inspect", messages=HELLO, skip_template=True, sort_by="max")
    assert [token["token"] for token in found["tokens"]] == list("banana")
    assert [feature["feature"] for feature in found["features"]] == [1, 3]
    banana = found["features"][0]
    assert (banana["max"], banana["count"], banana["sum"], banana["mean"]) == (2.0, 3, 6.0, 1.0)
    assert found["tokens"][1]["features"][0] == {"feature": 1, "activation": 2.0}


def test_the_order_of_inspected_features_is_the_one_asked_for(http):
    found = post(http, "/v1/features/inspect", messages=HELLO, skip_template=True, sort_by="count")
    assert [feature["feature"] for feature in found["features"]] == [3, 1]


def test_sinks_and_template_are_there_unless_left_out(http):
    found = post(http, "/v1/features/inspect", messages=HELLO)
    assert found["tokens"][0]["is_sink"]
    assert {token["kind"] for token in found["tokens"]} == {"bos", "template", "content", "end"}


def test_features_that_were_asked_for_are_there_even_if_silent(http):
    found = post(http, "/v1/features/inspect", messages=HELLO, features=[0, 1], top_k=1)
    assert {feature["feature"]: feature["count"] for feature in found["features"]} == {1: 3, 0: 0}


def test_inspection_runs_under_edits(http, engine):
    post(http, "/v1/features/inspect", messages=HELLO, feature_edits=[EDIT])
    assert engine.inspected[0].edits[0].add == 2.0


def test_an_answer_that_was_given_can_be_explained(http, engine):
    found = post(http, "/v1/features/attribute", messages=ANSWERED, tokens=[-1], top_k=3)
    (asked,) = engine.attributed
    assert engine.tokenizer.decode(asked.answer) == "yes"
    assert asked.tokens == (2,)
    assert asked.prompt.kinds[-1] is Kind.TEMPLATE
    assert found["attribution"]["tokens"][0]["token"] == "s"


def test_a_token_to_come_can_be_explained(http, engine):
    target = {"given": "a", "token": "b"}
    found = post(
        http, "/v1/features/attribute", messages=HELLO, target=target, positions="prompt", sign="positive"
    )
    (asked,) = engine.attributed
    assert (asked.answer, asked.tokens) == ((), (0,))
    assert engine.tokenizer.decode([asked.target, asked.contrast]) == "ab"
    assert asked.positions == tuple(range(len(asked.prompt)))
    assert asked.sign == "positive"
    assert found["attribution"]["tokens"][0]["token"] == "a"


def test_contrast_finds_what_tells_two_sets_apart(http):
    a, b = [[{"role": "user", "content": text}] for text in ("aaa", "bbb")]
    found = post(http, "/v1/features/contrast", positive=[a, a, a], negative=[b])
    (feature,) = found["positive"]
    assert (feature["feature"], feature["auc"], feature["held_out_auc"]) == (1, 1.0, None)
    assert feature["score"] == pytest.approx(2.0 / 4.0)
    assert found["negative"] == []


def test_contrast_holds_chats_out_where_there_are_enough(http):
    a, b = [[{"role": "user", "content": text}] for text in ("aaa", "bbb")]
    found = post(
        http, "/v1/features/contrast", positive=[b, a, b, a, b], negative=[a, b, a, b], pooling="max"
    )
    assert found["positive"] == []
    (feature,) = found["negative"]
    assert (feature["auc"], feature["held_out_auc"]) == (0.0, 1.0)  # chosen on the even, refuted by the odd


def test_logits_are_those_of_the_next_token(http, tiny_tokenizer):
    found = post(http, "/v1/logits", messages=HELLO, top_k=3)
    ids = [token["token_id"] for token in found["data"]]
    assert ids == [len(tiny_tokenizer) - 1 - place for place in range(3)]
    weights = [math.exp(token / 100) for token in range(len(tiny_tokenizer))]
    assert found["data"][0]["logprob"] == pytest.approx(math.log(weights[-1] / sum(weights)))
    assert "difference" not in found["data"][0]


def test_logits_under_edits_show_what_they_changed(http):
    found = post(http, "/v1/logits", messages=HELLO, feature_edits=[EDIT], sort_by="difference", top_k=1)
    (token,) = found["data"]
    assert token["token"] == "a"
    assert token["difference"] == pytest.approx(token["logprob"] - token["plain_logprob"])
    assert found["kl_from_plain"] > 0


def test_logits_of_named_tokens(http):
    found = post(http, "/v1/logits", messages=HELLO, tokens=["a", "b", "a"])
    assert sorted(token["token"] for token in found["data"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("path", "fields", "expected"),
    [
        ("/v1/features/inspect", {"messages": []}, (400, "messages", "empty_array")),
        ("/v1/features/inspect", {"messages": HELLO, "features": [99]}, (404, None, "feature_not_found")),
        (
            "/v1/features/inspect",
            {"messages": HELLO, "feature_edits": [EDIT | {"phase": "generation"}]},
            (400, "feature_edits[0].phase", "edit_without_effect"),
        ),
        (
            "/v1/features/attribute",
            {"messages": HELLO},
            (400, "target.given", "missing_required_parameter"),
        ),
        ("/v1/features/attribute", {"messages": ANSWERED[1:]}, (400, "messages", "invalid_value")),
        (
            "/v1/features/attribute",
            {"messages": ANSWERED, "tokens": [3]},
            (400, "tokens[0]", "integer_above_max_value"),
        ),
        ("/v1/features/contrast", {"positive": [HELLO], "negative": []}, (400, "negative", "empty_array")),
        (
            "/v1/features/contrast",
            {"positive": [HELLO], "negative": [HELLO], "roles": ["assistant"]},
            (400, "positive[0]", "invalid_value"),
        ),
        ("/v1/logits", {"messages": HELLO, "tokens": ["two"]}, (400, "tokens[0]", "invalid_value")),
        ("/v1/logits", {"messages": HELLO, "sort_by": "difference"}, (400, "sort_by", "invalid_value")),
        ("/v1/logits", {"messages": HELLO, "model": "gpt"}, (404, None, "model_not_found")),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_refused_by_name(http, path, fields, expected):
    assert refused(http, path, **fields) == expected
