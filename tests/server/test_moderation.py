"""What moderation does, place by place: to features, their samples, what comes in and what goes out."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from litestar.testing import TestClient

from steersman_catalog import Catalog
from steersman_catalog.moderation import CATEGORIES
from steersman_catalog.rows import (
    ExampleRow,
    FeatureRow,
    LabelRow,
    MapRow,
    ModerationRow,
    NeighbourRow,
    PassageRow,
    TokenRow,
)
from steersman_catalog.writer import write_catalog
from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.error_codes import CODES
from steersman_server.keys import ApiKey
from steersman_server.moderation.endpoint import Result, _scores
from steersman_server.moderation.policy import NOTHING, Policy, PolicyTable
from steersman_server.served import ServedModel

from .conftest import H_MAX, REFUSED, FakeEngine, openai_on, serve

CHAT = "/v1/chat/completions"
DOCS = Path(__file__).parents[2] / "docs" / "moderation.md"
FOUND = {
    "sexual": "hentai",
    "minors": "lolicon",
    "violence": "gouged out",
    "hate": "race traitor",
    "self_harm": "suicide methods",
    "crime": "fake passport",
    "personal_data": "ann.bolton7@gmail.com",
}
"""Of each category what the rules find, and nothing of another."""
RESEARCHER = {"authorization": "Bearer researcher's"}
VISITOR = {"authorization": "Bearer visitor's"}


@pytest.fixture
def marked(tmp_path: Path) -> Iterator[Catalog]:
    """Feature 1 is about hate, 2 about crime; a sample of feature 0 is personal."""
    rows: list[Any] = [TokenRow(token=0, text="word")]
    for index, h_max in enumerate(H_MAX):
        rows.append(FeatureRow(feature=index, h_max=h_max, density=0.1, mean_activation=1, num_documents=9))
        rows.append(
            LabelRow(
                label=index, feature=index, text=f"about {index}", kind="topic", explainer="x", shown=True
            )
        )
        rows.append(MapRow(feature=index, x=0, y=0))
    rows += [NeighbourRow(feature=0, space="decoder", rank=0, neighbour=1, similarity=0.9)]
    for example in range(2):
        rows.append(PassageRow(passage=example, document=f"d{example}", split="explain", tokens=[0]))
        rows.append(
            ExampleRow(
                example=example, feature=0, passage=example, start=0, length=1, peak=0, role="user",
                stratum=4, places=[0], activations=[1.0],
            )
        )  # fmt: skip
    marks = (
        ("feature", 1, 1, "hate", "refuse"),
        ("label", 2, 2, "crime", "mark"),
        ("example", 1, 0, "personal_data", "hide"),
    )
    rows += [
        ModerationRow(subject=s, id=i, feature=f, category=c, action=a, evidence="e", source="rules")  # pyright: ignore
        for s, i, f, c, a in marks
    ]
    path = tmp_path / "catalog.duckdb"
    write_catalog(path, {"model": "tiny", "layer": "1"}, rows)
    catalog = Catalog.open(path)
    yield catalog
    catalog.close()


@pytest.fixture
def http_with(tiny_tokenizer, engine: FakeEngine, marked: Catalog) -> Callable[..., TestClient]:
    """Makes a client of a server with actions by place, `inputs={"crime": "block"}`, and other settings."""

    def make(**settings) -> TestClient:
        places = {place: settings.pop(place) for place in Policy.__struct_fields__ if place in settings}
        config = ServerConfig(moderation_policy=PolicyTable(**places), **settings)
        app = create_app(serve(tiny_tokenizer, engine, marked), config)
        return TestClient(app, base_url="http://127.0.0.1", raise_server_exceptions=False)

    return make


def ask(http, text="Hi", **fields):
    return http.post(CHAT, json={"messages": [{"role": "user", "content": text}]} | fields)


def error(answer) -> tuple[int, str, str | None]:
    found = answer.json()["error"]
    return answer.status_code, found["code"], found["param"]


def flagged(answer, side: str) -> list[list[str]]:
    results = answer.get("moderation", {side: {"results": []}})[side]["results"]
    return [[c for c, holds in one["categories"].items() if holds] for one in results]


def streamed(answer) -> list[dict]:
    lines = [line.removeprefix("data: ") for line in answer.text.split("\n\n") if line]
    assert lines.pop() == "[DONE]"
    return [json.loads(line) for line in lines]


def in_one(events: list[dict], kind: str) -> tuple[str, str | None, dict]:
    """Text and finish of the one choice of a stream, and the event that has the finish."""
    choices = [choice for event in events for choice in event["choices"]]
    pieces = [c["text"] if kind == "text" else c["delta"].get("content", "") for c in choices]
    (last,) = [event for event in events if event["choices"] and event["choices"][0]["finish_reason"]]
    return "".join(pieces), last["choices"][0]["finish_reason"], last


# What comes in


@pytest.mark.parametrize("category", CATEGORIES)
def test_an_input_is_let_through_flagged_or_refused(http_with, engine, category):
    text = f"I wrote {FOUND[category]} here"
    with http_with(inputs={category: "off"}) as http:
        assert "moderation" not in ask(http, text).json()
    with http_with(inputs={category: "flag"}) as http:
        assert flagged(ask(http, text).json(), "input") == [[category]]
        assert len(engine.generated) == 2
    with http_with(inputs={category: "block"}) as http:
        refused = ask(http, text)
        assert error(refused) == (400, f"input_blocked_{category}", "messages[0].content")
        assert FOUND[category] not in refused.text
        assert len(engine.generated) == 2


MESSAGES = [{"role": "user", "content": "so, fake passport"}]
INPUTS = {
    "/v1/completions": ({"prompt": ["fine", "fake passport"]}, "prompt[1]"),
    "/v1/sweeps": ({"messages": MESSAGES, "sweep": [[]]}, "messages[0].content"),
    "/v1/logits": ({"messages": MESSAGES}, "messages[0].content"),
    "/v1/features/inspect": ({"messages": MESSAGES}, "messages[0].content"),
    "/v1/features/attribute": (
        {"messages": MESSAGES, "target": {"token": "a", "given": "b"}},
        "messages[0].content",
    ),
    "/v1/features/contrast": (
        {"positive": [[{"role": "user", "content": "a"}]], "negative": [MESSAGES]},
        "negative[0][0].content",
    ),
}


@pytest.mark.parametrize("path", INPUTS)
def test_every_endpoint_that_reads_a_text_refuses_what_is_blocked(http_with, path):
    body, param = INPUTS[path]
    with http_with(inputs={"crime": "block"}) as http:
        assert error(http.post(path, json=body)) == (400, "input_blocked_crime", param)
    with http_with() as http:
        assert http.post(path, json=body).status_code == 200


def test_token_ids_are_read_as_what_they_say(http_with, tiny_tokenizer):
    ids = tiny_tokenizer.encode("fake passport", add_special_tokens=False)
    with http_with(inputs={"crime": "block"}) as http:
        refused = http.post("/v1/completions", json={"prompt": ids})
        assert error(refused) == (400, "input_blocked_crime", "prompt")


def test_what_an_earlier_message_says_counts_too(http_with):
    messages = [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "fake passport"},
        {"role": "user", "content": "b"},
    ]
    with http_with(inputs={"crime": "block"}) as http:
        refused = http.post(CHAT, json={"messages": messages})
        assert error(refused) == (400, "input_blocked_crime", "messages[1].content")


def test_a_refused_stream_is_no_stream(http_with):
    with http_with(inputs={"crime": "block"}) as http:
        assert error(ask(http, "fake passport", stream=True))[1] == "input_blocked_crime"


# What goes out


@pytest.mark.parametrize("path", [CHAT, "/v1/completions"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("category", CATEGORIES)
def test_an_output_is_let_through_flagged_or_cut(http_with, engine, category, stream, path):
    said = f"I have a {FOUND[category]} here."
    engine.says(said)

    def answer(http) -> tuple[str, str | None, dict]:
        asked = {"messages": [{"role": "user", "content": "Hi"}]} if path == CHAT else {"prompt": "Hi"}
        made = http.post(path, json=asked | {"stream": stream, "max_tokens": 100})
        if stream:
            return in_one(streamed(made), "text" if path != CHAT else "content")
        (choice,) = made.json()["choices"]
        text = choice["message"]["content"] if path == CHAT else choice["text"]
        return text, choice["finish_reason"], made.json()

    with http_with(outputs={category: "off"}) as http:
        text, finish, whole = answer(http)
        assert (text, finish, "moderation" in whole) == (said, "stop", False)
    with http_with(outputs={category: "flag"}) as http:
        text, finish, whole = answer(http)
        assert (text, finish, flagged(whole, "output")) == (said, "stop", [[category]])
    with http_with(outputs={category: "block"}) as http:
        text, finish, whole = answer(http)
        assert (text, finish, flagged(whole, "output")) == ("I have a ", "content_filter", [[category]])
        (result,) = whole["moderation"]["output"]["results"]
        assert (result["blocked"], result["choice"], result["model"]) == (category, 0, "rules")


@pytest.mark.parametrize("stream", [False, True])
def test_nothing_of_what_is_cut_is_told_by_logprobs_features_or_attribution(http_with, engine, stream):
    engine.says("So, hentai and more")
    with http_with(outputs={"sexual": "block"}) as http:
        made = ask(
            http,
            stream=stream,
            logprobs=True,
            activations={"top_k": 1},
            attribution={"top_k": 1},
            max_tokens=50,
        )
        events = streamed(made) if stream else [made.json()]
    tokens = {"logprobs": "", "activations": "", "attribution": ""}
    for event in events:
        for choice in event["choices"]:
            tokens["logprobs"] += "".join(
                one["token"] for one in (choice["logprobs"] or {}).get("content", [])
            )
        for what in ("activations", "attribution"):
            tokens[what] += "".join(t["token"] for one in event.get(what, []) for t in one["tokens"])
    assert tokens["logprobs"] == tokens["attribution"] == "So, "
    assert tokens["activations"] in ("So, ", "So,")  # a token's features come with the next


def test_each_answer_is_cut_alone(http_with, engine):
    engine.says("a lolicon b")
    with http_with() as http:
        made = ask(http, n=2, max_tokens=50).json()
    assert [choice["finish_reason"] for choice in made["choices"]] == ["content_filter"] * 2
    assert [one["choice"] for one in made["moderation"]["output"]["results"]] == [0, 1]


def test_a_cut_answer_stops_the_engine(http_with, engine):
    engine.says("a lolicon " + "b" * 100)
    with http_with() as http:
        ask(http, max_tokens=200)
    assert (engine.num_given, engine.num_closed) == (len("a lolicon "), 1)


def test_a_row_of_a_sweep_is_cut(http_with, engine):
    engine.says("a lolicon b")
    with http_with() as http:
        body = {"messages": [{"role": "user", "content": "Hi"}], "sweep": [[]], "max_tokens": 50}
        made = http.post("/v1/sweeps", json=body).json()
    assert (made["data"][0]["message"]["content"], made["data"][0]["finish_reason"]) == (
        "a ",
        "content_filter",
    )
    assert flagged(made, "output") == [["minors"]]


def test_a_stop_string_that_comes_first_ends_the_answer_as_ever(http_with, engine):
    engine.says("a b lolicon")
    with http_with() as http:
        (choice,) = ask(http, stop=" b", max_tokens=50).json()["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == ("a", "stop")


def test_an_ordinary_stream_comes_token_by_token(http_with, engine):
    engine.says("The boats lie still.")
    with http_with() as http:
        events = streamed(ask(http, stream=True, max_tokens=50))
    pieces = [c["delta"]["content"] for e in events for c in e["choices"] if c["delta"].get("content")]
    assert len(pieces) >= len("The boats lie still.") - 3


def test_openais_own_types_take_what_was_found(http_with, engine):
    engine.says("a fake passport")
    with http_with() as http:
        made = openai_on(http).chat.completions.create(
            model="org/tiny", messages=[{"role": "user", "content": "hentai"}], max_tokens=50
        )
    assert made.moderation is not None
    assert made.moderation.input.results[0].categories["sexual"]  # pyright: ignore
    assert made.moderation.output.results[0].category_scores["crime"] == 1  # pyright: ignore


# Features and samples


def features(http, path: str, **kwargs) -> list[dict]:
    return http.get(f"/v1/features{path}", **kwargs).json()["data"]


@pytest.mark.parametrize("action", ["off", "flag", "block"])
def test_a_marked_feature_is_shown_or_hidden_everywhere(http_with, action):
    hidden = action == "block"
    with http_with(features={"hate": action}) as http:
        listed = [0, 2, 3, 4] if hidden else [0, 1, 2, 3, 4]
        assert [f["index"] for f in features(http, "")] == listed
        assert [f["index"] for f in features(http, "/map")] == listed
        assert [f["index"] for f in features(http, "", params={"query": "about 1", "mode": "keyword"})][
            :1
        ] == ([0] if hidden else [1])
        assert [f["index"] for f in features(http, "/0/neighbors")] == ([] if hidden else [1])
        label = "hidden by moderation" if hidden else "about 1"
        assert http.get("/v1/features/1").json()["label"] == label
        assert http.post("/v1/features/lookup", json={"features": [1]}).json()["data"][0]["label"] == label
        board = http.get("/v1/features/1/dashboard").json()
        assert (board["feature"]["label"], len(board["labels"])) == (label, 0 if hidden else 1)
        assert len(board["moderation"]) == (0 if action == "off" else 1)
        inspected = http.post(
            "/v1/features/inspect", json={"messages": [{"role": "user", "content": "a"}], "features": [1]}
        )
        assert inspected.json()["features"][0]["label"] == label


EDITS = [
    ({"mode": "set", "strength": 0.5}, False),
    ({"mode": "add", "strength": 0.1}, False),
    ({"mode": "scale", "strength": 1.5}, False),
    ({"mode": "set", "strength": 0}, True),
    ({"mode": "set", "strength": -0.5}, True),
    ({"mode": "add", "strength": -0.1}, True),
    ({"mode": "scale", "strength": 0.5}, True),
]


@pytest.mark.parametrize(("edit", "allowed"), EDITS, ids=str)
def test_a_blocked_feature_may_be_lowered_and_not_raised(http_with, edit, allowed):
    with http_with() as http:
        answer = ask(http, feature_edits=[{"feature": 1} | edit])
        if allowed:
            assert answer.json()["steering"]["edits"][0]["label"] == "hidden by moderation"
        else:
            assert error(answer) == (400, "feature_refused", "feature_edits[0].feature")


@pytest.mark.parametrize("action", ["off", "flag"])
def test_a_feature_that_is_not_blocked_may_be_raised(http_with, action):
    with http_with(features={"hate": action}) as http:
        assert ask(http, feature_edits=[{"feature": 1, "strength": 0.5}]).status_code == 200


def test_a_variant_may_not_raise_a_blocked_feature(http_with):
    with http_with() as http:
        variant = {"name": "bad", "feature_edits": [{"feature": 1, "strength": 0.5}]}
        assert error(http.post("/v1/variants", json=variant))[1] == "feature_refused"


@pytest.mark.parametrize(("action", "shown"), [("off", 2), ("flag", 2), ("block", 1)])
def test_a_marked_sample_is_shown_or_left_out(http_with, action, shown):
    with http_with(samples={"personal_data": action}) as http:
        assert len(http.get("/v1/features/0").json()["examples"]) == shown
        assert len(http.get("/v1/features/0/dashboard").json()["examples"]) == shown


# Who is let off, and how all is turned off


def keys() -> tuple[ApiKey, ...]:
    made = [ApiKey.of(f"{name}'s", name) for name in ("researcher", "visitor")]
    return msgspec.structs.replace(made[0], moderated=False), made[1]


def test_a_researcher_s_key_sees_and_does_everything(http_with, engine):
    engine.says("a lolicon b")
    with http_with(keys=keys()) as http:
        raised = {"feature_edits": [{"feature": 1, "strength": 0.5}]}
        body = {"messages": [{"role": "user", "content": "lolicon"}], "max_tokens": 50} | raised
        assert error(http.post(CHAT, json=body, headers=VISITOR))[1] == "feature_refused"
        made = http.post(CHAT, json=body, headers=RESEARCHER).json()
        assert made["choices"][0]["message"]["content"] == "a lolicon b"
        assert made["steering"]["edits"][0]["label"] == "about 1"
        assert "moderation" not in made
        for headers, shown in ((VISITOR, 4), (RESEARCHER, 5)):
            assert len(features(http, "", headers=headers)) == shown
        assert http.get("/v1/features/1", headers=VISITOR).json()["label"] == "hidden by moderation"
        assert len(http.get("/v1/features/0", headers=RESEARCHER).json()["examples"]) == 2


def test_hidden_features_are_listed_for_those_who_may_see_them_alone(http_with):
    with http_with(keys=keys()) as http:
        assert error(http.get("/v1/features?hidden=true", headers=VISITOR)) == (
            403,
            "features_hidden",
            "hidden",
        )
        assert len(features(http, "?hidden=true", headers=RESEARCHER)) == 5


def test_moderation_that_is_off_does_nothing(http_with, engine):
    engine.says("a lolicon b")
    with http_with(moderation="off", outputs={"crime": "block"}) as http:
        made = ask(http, "lolicon", feature_edits=[{"feature": 1, "strength": 0.5}], max_tokens=50).json()
        assert made["choices"][0]["message"]["content"] == "a lolicon b"
        assert "moderation" not in made
        assert len(features(http, "")) == 5
        assert len(http.get("/v1/features/0").json()["examples"]) == 2


@pytest.mark.parametrize(("moderation", "status"), [("standard", 400), ("off", 200)])
def test_marks_of_other_categories_keep_the_catalogue_s_action_unless_all_is_off(
    client_with, engine, moderation, status
):
    with client_with(moderation=moderation) as http:
        raised = ask(http, feature_edits=[{"feature": REFUSED, "strength": 0.5}])
        assert (raised.status_code, len(features(http, ""))) == (status, 4 if status == 400 else 5)


def test_off_is_off_at_every_place():
    assert not any(getattr(NOTHING, place) for place in Policy.__struct_fields__)


def test_the_documented_standard_is_that_of_the_code():
    text = DOCS.read_text(encoding="utf-8")
    lines = [f"| | {' | '.join(CATEGORIES)} |", "|---" * (1 + len(CATEGORIES)) + "|"]
    for place in Policy.__struct_fields__:
        actions = getattr(Policy(), place)
        lines.append(f"| {place} | {' | '.join(actions.of(category) for category in CATEGORIES)} |")
    assert "\n".join(lines) in text


def test_an_action_in_the_file_leaves_the_others_as_they_are():
    policy = PolicyTable(inputs={"crime": "block"}).policy()
    assert policy.inputs == msgspec.structs.replace(Policy().inputs, crime="block")
    assert policy.outputs == Policy().outputs


def test_every_category_has_a_code():
    assert {f"input_blocked_{category}" for category in CATEGORIES} <= CODES.keys()


# An endpoint in place of the rules


class Endpoint:
    """Flags texts that hold a category's name, and writes down what it was sent."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.status = 200
        self.go_on = threading.Event()
        self.go_on.set()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.asked.append((self.path, self.headers["authorization"], body))
                outer.go_on.wait(20)
                results = [
                    {
                        "flagged": True,
                        "categories": {name: name in text for name in ("self-harm", "illicit", "violence")},
                        "category_scores": {"self-harm": 0.75, "illicit": 0.9, "violence": 0.9},
                    }
                    for text in body["input"]
                ]
                answer = json.dumps({"id": "m", "model": body["model"], "results": results}).encode()
                self.send_response(outer.status)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.go_on.set()
    made.server.shutdown()
    made.server.server_close()
    made.thread.join()


def test_an_endpoint_judges_in_place_of_the_rules(http_with, engine, endpoint):
    engine.says("nothing")
    with http_with(moderation_url=endpoint.url, moderation_model="m-1", moderation_key="k") as http:
        made = ask(http, "about self-harm, lolicon and violence").json()
    path, key, body = endpoint.asked[0]
    assert (path, key, body["model"]) == ("/v1/moderations", "Bearer k", "m-1")
    assert body["input"] == ["about self-harm, lolicon and violence"]
    assert flagged(made, "input") == [["self_harm"]]
    (result,) = made["moderation"]["input"]["results"]
    assert (result["model"], result["category_scores"]["self_harm"]) == ("m-1", 0.75)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("illicit", {"crime"}),
        ("violence/graphic", {"violence"}),
        ("sexual/minors", {"minors"}),
        ("violence", set()),
        ("harassment", set()),
    ],
)
def test_an_endpoint_s_categories_count_as_ours(theirs, ours):
    assert _scores(Result(categories={theirs: True, "sexual": False})).keys() == ours


def test_an_endpoint_refuses_an_input(http_with, endpoint):
    with http_with(moderation_url=endpoint.url, inputs={"crime": "block"}) as http:
        assert error(ask(http, "illicit"))[1] == "input_blocked_crime"


@pytest.mark.parametrize("stream", [False, True])
def test_an_endpoint_cuts_an_output_before_the_piece_that_it_objects_to(http_with, engine, endpoint, stream):
    fine = "All is well. " * 16
    engine.says(fine[:200] + "illicit things")
    with http_with(moderation_url=endpoint.url, outputs={"crime": "block"}) as http:
        made = ask(http, stream=stream, max_tokens=250)
        if stream:
            text, finish, _ = in_one(streamed(made), "content")
        else:
            (choice,) = made.json()["choices"]
            text, finish = choice["message"]["content"], choice["finish_reason"]
    assert (text, finish) == (fine[:200], "content_filter")


def test_where_nothing_is_blocked_an_endpoint_holds_nothing_back_and_is_asked_once(
    http_with, engine, endpoint
):
    engine.says("illicit things")
    with http_with(
        moderation_url=endpoint.url, inputs=dict.fromkeys(CATEGORIES, "off"), outputs={"minors": "off"}
    ) as http:
        events = streamed(ask(http, stream=True, max_tokens=50))
    text, finish, last = in_one(events, "content")
    assert (text, finish, flagged(last, "output")) == ("illicit things", "stop", [["crime"]])
    assert [body["input"] for _, _, body in endpoint.asked] == [["illicit things"]]
    assert len(events) > len("illicit things")


@pytest.mark.parametrize(("failure", "status"), [("open", 200), ("closed", 503)])
def test_an_endpoint_that_fails_lets_inputs_through_or_not(http_with, endpoint, failure, status):
    endpoint.status = 500
    with http_with(moderation_url=endpoint.url, moderation_failure=failure) as http:
        answer = ask(http)
    assert answer.status_code == status
    if failure == "closed":
        assert error(answer)[1] == "moderation_unavailable"
        assert answer.headers["retry-after"]
    else:
        assert answer.json()["moderation"]["input"]["code"] == "moderation_unavailable"


@pytest.mark.parametrize(
    ("failure", "said"), [("open", ("Hello!", "stop")), ("closed", ("", "content_filter"))]
)
def test_an_endpoint_that_fails_lets_outputs_through_or_not(http_with, endpoint, failure, said):
    endpoint.status = 500
    off = dict.fromkeys(CATEGORIES, "off")
    with http_with(moderation_url=endpoint.url, moderation_failure=failure, inputs=off) as http:
        made = ask(http, max_tokens=50).json()
    (choice,) = made["choices"]
    assert (choice["message"]["content"], choice["finish_reason"]) == said
    assert made["moderation"]["output"]["type"] == "error"


def test_where_nothing_may_be_blocked_an_endpoint_that_fails_ends_no_answer(http_with, endpoint):
    endpoint.status = 500
    off = dict.fromkeys(CATEGORIES, "off")
    settings = {"inputs": off, "outputs": off | {"crime": "flag"}, "moderation_failure": "closed"}
    with http_with(moderation_url=endpoint.url, **settings) as http:
        made = ask(http, max_tokens=50).json()
    assert (made["choices"][0]["message"]["content"], made["choices"][0]["finish_reason"]) == (
        "Hello!",
        "stop",
    )
    assert made["moderation"]["output"]["code"] == "moderation_unavailable"


def test_an_endpoint_that_is_too_slow_counts_as_failed(http_with, endpoint):
    endpoint.go_on.clear()
    with http_with(
        moderation_url=endpoint.url, moderation_timeout_s=0.1, moderation_failure="closed"
    ) as http:
        assert error(ask(http))[1] == "moderation_unavailable"
        endpoint.go_on.set()


def test_a_slow_endpoint_holds_up_nobody_else(tiny_tokenizer, engine, marked, endpoint):
    endpoint.go_on.clear()
    app = create_app(serve(tiny_tokenizer, engine, marked), ServerConfig(moderation_url=endpoint.url))

    async def both() -> tuple[int, int]:
        transport = httpx.ASGITransport(app)  # pyright: ignore[reportArgumentType] # Litestar types more
        async with (
            app.lifespan(),
            httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http,
        ):
            body = {"messages": [{"role": "user", "content": "Hi"}]}
            slow = asyncio.create_task(http.post(CHAT, json=body))
            while not endpoint.asked:
                await asyncio.sleep(0.01)
            other = await http.get("/v1/models")
            assert not slow.done()
            endpoint.go_on.set()
            return other.status_code, (await slow).status_code

    assert asyncio.run(both()) == (200, 200)


# Features as signals


def test_a_marked_feature_that_fires_is_a_flag_in_the_prompt_and_in_the_answer(http_with, engine):
    engine.probes_fire = True
    with http_with() as http:
        made = ask(http).json()
    assert flagged(made, "input") == flagged(made, "output") == [["hate"]]
    (result,) = made["moderation"]["output"]["results"]
    assert (result["model"], result["features"], result["choice"]) == ("features", [1], 0)
    probes = engine.generated[0].edits
    assert [edit.is_probe for edit in probes] == [True, True]
    assert {edit.when.right for edit in probes} == {H_MAX[1] / 2}
    assert "steering" not in made


def test_a_signal_flags_even_what_is_blocked_in_words(http_with, engine):
    engine.probes_fire = True
    with http_with(inputs={"hate": "block"}, outputs={"hate": "block"}) as http:
        made = ask(http).json()
    assert made["choices"][0]["finish_reason"] == "stop"
    assert flagged(made, "input") == flagged(made, "output") == [["hate"]]


def signal_file(path: Path, bundle: str = "tiny@12345678", feature: int = 0) -> Path:
    path.write_text(
        f'bundle = "{bundle}"\n[[signal]]\ncategory = "crime"\nfeature = {feature}\nthreshold = 0.0\n'
    )
    return path


@pytest.mark.parametrize("wrong", [{"bundle": "other@1"}, {"feature": 99}])
def test_signals_of_another_bundle_are_refused_at_the_start(http_with, tmp_path, wrong):
    with pytest.raises(ValueError, match=r"signals\.toml"):
        http_with(moderation_signals=signal_file(tmp_path / "signals.toml", **wrong))


def test_looking_for_signals_changes_no_answer(really_served: ServedModel, tmp_path):
    """The real engine, with as many edits as a request may have."""
    edits = [{"feature": 5 + index % 30, "strength": 0.2, "mode": "add"} for index in range(64)]
    answers = []
    for signals in (None, signal_file(tmp_path / "signals.toml", feature=7)):
        app = create_app(really_served, ServerConfig(moderation_signals=signals))
        with TestClient(app, base_url="http://127.0.0.1") as http:
            for fields in ({}, {"feature_edits": edits}):
                made = ask(http, "Hello there", max_tokens=8, temperature=0, logprobs=True, **fields).json()
                answers.append((made["choices"], made.get("moderation")))
    (plain, _), (edited, _), (watched, found), (watched_edited, _) = answers
    assert (watched, watched_edited) == (plain, edited)
    assert found is None or flagged({"moderation": found}, "input") in ([], [["crime"]])


def test_a_signal_is_counted_where_it_is_above_its_threshold(really_served: ServedModel, tmp_path):
    messages = [{"role": "user", "content": "Hello there"}]
    with TestClient(create_app(really_served, ServerConfig()), base_url="http://127.0.0.1") as http:
        asked = {"messages": messages, "skip_template": False, "top_k": 3, "add_generation_prompt": True}
        highest = http.post("/v1/features/inspect", json=asked).json()["features"][0]
    for factor, expected in ((0.99, [["crime"]]), (1.01, [])):
        path = tmp_path / "signals.toml"
        path.write_text(
            f'bundle = "tiny@12345678"\n[[signal]]\ncategory = "crime"\nfeature = {highest["feature"]}\n'
            f"threshold = {highest['max'] * factor}\n"
        )
        config = ServerConfig(moderation_signals=path)
        with TestClient(create_app(really_served, config), base_url="http://127.0.0.1") as http:
            made = http.post(CHAT, json={"messages": messages, "max_tokens": 1}).json()
        assert flagged(made, "input") == expected
