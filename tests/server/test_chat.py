"""An answer in one piece, to OpenAI's client and over plain HTTP."""

import logging

import openai as openai_package
import pytest

from steersman_engine.edits import AffineEdit
from steersman_engine.engine import EngineError

HELLO = [{"role": "user", "content": "Hi"}]
EDIT = {"feature": 1, "strength": 0.5}
RECEIPT = {
    "bundle": "tiny@12345678",
    "edits": [
        {
            "feature": 1,
            "label": "label 1",
            "mode": "set",
            "strength": 0.5,
            "unit": "h_max",
            "mul": 0.0,
            "add": 2.0,
            "tokens_edited": 6,
            "mean_activation_before": 3.0,
        }
    ],
}


def ask(http, **fields):
    answer = http.post("/v1/chat/completions", json={"model": "org/tiny", "messages": HELLO} | fields)
    return answer.json()


def test_openais_client_takes_an_answer(openai):
    answer = openai.chat.completions.create(model="org/tiny", messages=HELLO)
    assert answer.choices[0].message.content == "Hello!"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 6
    assert answer._request_id.startswith("req_")


def test_openais_client_takes_an_error(openai):
    with pytest.raises(openai_package.BadRequestError) as caught:
        openai.chat.completions.create(model="org/tiny", messages=[])
    assert (caught.value.param, caught.value.code) == ("messages", "empty_array")


def test_an_answer_has_all_that_openai_requires(http):
    answer = ask(http)
    assert answer.keys() == {"id", "object", "created", "model", "choices", "usage", "system_fingerprint"}
    assert answer["choices"] == [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Hello!", "refusal": None},
            "finish_reason": "stop",
            "logprobs": None,
        }
    ]


def test_a_developers_message_is_a_system_message_and_parts_are_joined(http, engine, tiny_tokenizer):
    parts = [{"type": "text", "text": "one "}, {"type": "text", "text": "two"}]
    ask(http, messages=[{"role": "developer", "content": parts}, *HELLO])
    text = tiny_tokenizer.decode(engine.generated[0].prompt.token_ids)
    assert text.startswith("<|im_start|>system\none two<|im_end|>")
    assert text.endswith("<|im_start|>assistant\n")


def test_sampling_reaches_the_engine(http, engine):
    ask(http, temperature=0.5, top_p=0.9, seed=7)
    sampling = engine.generated[0].sampling
    assert (sampling.temperature, sampling.top_p, sampling.seed) == (0.5, 0.9, 7)


def test_the_models_end_tokens_end_an_answer(http, engine, tiny_tokenizer):
    ask(http)
    assert engine.generated[0].stop_token_ids == {tiny_tokenizer.eos_token_id}


@pytest.mark.parametrize(
    ("fields", "max_tokens"),
    [
        ({}, None),
        ({"max_tokens": 10_000}, None),
        ({"max_tokens": 4}, 4),
        ({"max_tokens": 4, "max_completion_tokens": 5}, 5),
    ],
)
def test_an_answer_is_as_long_as_asked_and_fits_in_the_context(http, engine, fields, max_tokens):
    ask(http, **fields)
    (request,) = engine.generated
    assert request.max_tokens == (max_tokens or engine.info.max_positions - len(request.prompt))


def test_an_answer_that_is_cut_says_so(http):
    answer = ask(http, max_tokens=4)
    assert answer["choices"][0]["message"]["content"] == "Hell"
    assert answer["choices"][0]["finish_reason"] == "length"


def test_a_character_that_is_cut_is_replaced(http, engine):
    engine.says("a€")
    assert ask(http, max_tokens=3)["choices"][0]["message"]["content"] == "a\ufffd"


def test_a_stop_string_over_several_tokens_ends_the_answer_before_it(http, engine):
    engine.says("one. two. three.")
    answer = ask(http, stop=["two.", "three."])
    assert answer["choices"][0]["message"]["content"] == "one. "
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["completion_tokens"] == len("one. two.")


def test_a_stop_string_cancels_the_engine(http, engine):
    engine.says("one. two. three.")
    ask(http, stop="two.")
    assert (engine.num_given, engine.num_closed) == (len("one. two."), 1)


def test_half_a_stop_string_at_the_end_is_text(http, engine):
    engine.says("one. tw")
    assert ask(http, stop="two.")["choices"][0]["message"]["content"] == "one. tw"


def test_edits_reach_the_engine_in_residual_units(http, engine):
    ask(http, feature_edits=[EDIT, {"feature": 3, "mode": "scale", "strength": 0, "phase": "prompt"}])
    assert engine.generated[0].edits == (AffineEdit(1, 0.0, 2.0), AffineEdit(3, 0.0, 0.0, True, False))


def test_the_receipt_says_what_the_edits_did(http):
    assert ask(http, feature_edits=[EDIT], seed=7)["steering"] == RECEIPT | {"seed": 7}


def test_the_receipt_of_an_answer_that_a_stop_string_ended_counts_up_to_there(http):
    receipt = ask(http, feature_edits=[EDIT], stop="ll")["steering"]
    assert receipt["edits"][0]["tokens_edited"] == len("Hell")


def test_openais_client_hands_on_what_is_ours(openai):
    answer = openai.chat.completions.create(
        model="org/tiny", messages=HELLO, seed=7, extra_body={"feature_edits": [EDIT]}
    )
    assert answer.model_extra["steering"] == RECEIPT | {"seed": 7}


def test_attribution_names_the_features_behind_each_token(http):
    (choice,) = ask(http, max_tokens=10, attribution={"tokens": [1]})["attribution"]
    assert choice == {
        "choice": 0,
        "method": "gradient",
        "target": "logit_minus_mean",
        "tokens": [
            {
                "index": 1,
                "token": "e",
                "objective": 1.5,
                "features": [
                    {"feature": 3, "label": "label 3", "attribution": -0.5, "activation": 2.0, "h_max": 8.0}
                ],
            }
        ],
    }


def test_attribution_runs_under_the_edits_of_its_answer(http, engine):
    ask(http, max_tokens=10, attribution={"top_k": 3, "target": {"token": "x"}}, feature_edits=[EDIT])
    (request,) = engine.attributed
    assert request.edits == engine.generated[0].edits
    assert request.answer == tuple(engine.script)
    assert request.tokens == (0, 1, 2, 3, 4, 5)
    assert (request.top_k, request.contrast) == (3, engine.tokenizer.encode("x", add_special_tokens=False)[0])


def test_attribution_leaves_out_tokens_that_the_answer_ended_before(http):
    (choice,) = ask(http, max_tokens=10, attribution={"tokens": [9, 5]})["attribution"]
    assert [token["index"] for token in choice["tokens"]] == [5]


def test_attribution_leaves_out_the_tokens_of_a_stop_string(http, engine):
    (choice,) = ask(http, max_tokens=10, attribution={}, stop="lo")["attribution"]
    assert "".join(token["token"] for token in choice["tokens"]) == "Hel"
    assert engine.attributed[0].answer == tuple(engine.script[:3])


def test_attribution_of_an_empty_answer_is_empty(http, engine):
    engine.says("")
    assert ask(http, max_tokens=10, attribution={})["attribution"][0]["tokens"] == []


def test_an_engine_error_is_a_500_that_keeps_its_cause_to_the_log(http, engine, caplog):
    engine.says("He", EngineError("secret"))
    with caplog.at_level(logging.ERROR):
        answer = http.post("/v1/chat/completions", json={"model": "org/tiny", "messages": HELLO})
    assert answer.status_code == 500
    assert answer.json()["error"]["type"] == "server_error"
    assert "secret" not in answer.text
    assert "secret" in caplog.text
    assert answer.headers["x-request-id"] in caplog.text


def test_an_engine_error_disturbs_nothing_else(http, engine):
    engine.says("He", EngineError("secret"))
    ask(http)
    engine.says("Hello!")
    assert ask(http)["choices"][0]["message"]["content"] == "Hello!"
    assert engine.num_closed == 2
