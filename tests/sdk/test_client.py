import re
from collections.abc import Callable

import httpx
import numpy as np
import pytest
from tests.sdk.conftest import ATTRIBUTION, FakeServer, error

import steersman
from steersman import Client, FeatureEdit, Message, Variant
from steersman.calls import ChatOptions
from steersman.types import ChatRequest

HELLO = [Message("user", "Hi")]


def test_an_answer_is_typed(client: Client) -> None:
    answer = client.chat.completions.create(messages=HELLO)
    assert answer.choices[0].message.content == "Hello"


def test_an_answer_tells_how_it_was_steered(client: Client) -> None:
    answer = client.chat.completions.create(
        messages=HELLO, feature_edits=[FeatureEdit(1, 0.5)], attribution={"top_k": 3}
    )
    assert answer.steering is not None
    assert answer.steering.edits[0].label == "pirates"
    assert answer.attribution is not None
    assert answer.attribution[0].tokens[0].token == ATTRIBUTION[0]["tokens"][0]["token"]


def test_only_what_was_given_is_sent(client: Client, server: FakeServer) -> None:
    client.chat.completions.create(messages=HELLO, temperature=0.2)
    assert server.bodies == [{"messages": [{"role": "user", "content": "Hi"}], "temperature": 0.2}]


def test_dictionaries_and_types_make_the_same_request(client: Client, server: FakeServer) -> None:
    client.chat.completions.create(messages=HELLO, feature_edits=[FeatureEdit(1, 0.5, phase="prompt")])
    client.chat.completions.create(
        messages=[{"role": "user", "content": "Hi"}],
        feature_edits=[{"feature": 1, "strength": 0.5, "phase": "prompt"}],
    )
    assert server.bodies[0] == server.bodies[1]


def test_an_answer_can_be_sent_back_as_it_came(client: Client, server: FakeServer) -> None:
    answer = client.chat.completions.create(messages=HELLO)
    client.chat.completions.create(messages=[*HELLO, answer.choices[0].message])
    assert server.bodies[1]["messages"][1] == {"role": "assistant", "content": "Hello"}


def test_numbers_of_numpy_are_numbers(client: Client, server: FakeServer) -> None:
    edit = FeatureEdit(np.int64(1), np.float32(0.5))  # type: ignore[arg-type]
    client.chat.completions.create(messages=HELLO, feature_edits=[edit])
    assert server.bodies[0]["feature_edits"] == [{"feature": 1, "strength": 0.5}]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"feature_edits": [{"feature": 1, "strenght": 1.0}]}, "`strenght` - at `$.feature_edits[0]`"),
        ({"feature_edits": [FeatureEdit(-1, 1.0)]}, "$.feature_edits[0].feature"),
        ({"feature_edits": [FeatureEdit(1, float("nan"))]}, "$.feature_edits[0].strength"),
        ({"temprature": 1}, "temprature"),
        ({"temperature": 3}, "$.temperature"),
        ({"attribution": {"topk": 1}}, "`topk` - at `$.attribution`"),
    ],
)
def test_a_mistake_is_named_and_nothing_is_sent(
    client: Client, server: FakeServer, wrong: ChatOptions, named: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(named)):
        client.chat.completions.create(messages=HELLO, **{"model": "tiny", **wrong})
    assert server.requests == []


def test_the_options_are_the_fields_of_the_request() -> None:
    assert set(ChatOptions.__annotations__) == set(ChatRequest.__struct_fields__) - {"messages", "stream"}


def test_a_variant_goes_wherever_a_model_does(client: Client, server: FakeServer) -> None:
    variant = Variant(
        object="variant",
        id="tiny:pirate",
        name="pirate",
        base="tiny",
        bundle="b",
        description="",
        feature_edits=(),
        abort_when=(),
        created=0,
        updated=0,
    )
    client.chat.completions.create(messages=HELLO, model=variant)
    assert server.bodies[-1]["model"] == "tiny:pirate"


def test_models_are_listed(client: Client) -> None:
    assert [model.id for model in client.models.list()] == ["tiny"]


def test_an_unknown_feature_is_named(client: Client) -> None:
    with pytest.raises(steersman.NotFoundError, match="No feature 99"):
        client.features.get(99)


def test_one_feature_comes_with_examples(client: Client) -> None:
    assert client.features.get(1).examples[0].peak == 1


def test_a_negative_index_is_refused_before_it_is_sent(client: Client, server: FakeServer) -> None:
    with pytest.raises(ValueError, match="-1"):
        client.features.get(-1)
    assert server.requests == []


def test_a_search_finds_labels(client: Client) -> None:
    assert [feature.index for feature in client.features.search("pira")] == [1]


def test_iterating_over_a_page_goes_on_to_the_next(client: Client) -> None:
    page = client.features.list(limit=2)
    assert [feature.index for feature in page.data] == [0, 1]
    assert [feature.index for feature in page] == [0, 1, 2, 3, 4]


def test_later_pages_search_for_the_same_words(client: Client, server: FakeServer) -> None:
    found = [feature.label for feature in client.features.search("i", limit=1)]
    assert found == ["cooking", "pirates", "grief"]
    assert {request.url.params["query"] for request in server.requests} == {"i"}


@pytest.mark.parametrize("limit", [0, 101])
def test_a_page_size_out_of_range_is_refused(client: Client, limit: int) -> None:
    with pytest.raises(ValueError, match=str(limit)):
        client.features.list(limit=limit)


def test_an_empty_search_is_refused(client: Client) -> None:
    with pytest.raises(ValueError, match="empty"):
        client.features.search(" ")


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/", "http://h:1/v1", "http://h:1/v1/"])
def test_the_address_may_end_in_v1(make_client: Callable[..., Client], server: FakeServer, url: str) -> None:
    make_client(url).models.list()
    assert str(server.requests[0].url) == "http://h:1/v1/models"


@pytest.mark.parametrize("url", ["localhost:8000", "h", "ftp://h"])
def test_an_address_without_http_is_refused(make_client: Callable[..., Client], url: str) -> None:
    with pytest.raises(ValueError, match="http://"):
        make_client(url)


def test_the_environment_gives_what_is_left_out(
    make_client: Callable[..., Client], server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEERSMAN_BASE_URL", "http://env/v1")
    monkeypatch.setenv("STEERSMAN_API_KEY", "secret")
    make_client().health()
    assert server.requests[0].url == "http://env/health"
    assert server.requests[0].headers["authorization"] == "Bearer secret"


def test_an_argument_wins_over_the_environment(
    make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STEERSMAN_BASE_URL", "http://env")
    assert make_client("http://arg").base_url == "http://arg"


def test_a_client_of_ones_own_brings_its_address() -> None:
    with httpx.Client(base_url="http://own/v1/") as http:
        assert Client(http=http).base_url == "http://own"


def test_the_key_is_not_shown(make_client: Callable[..., Client]) -> None:
    assert repr(make_client(api_key="secret")) == "Client('http://127.0.0.1:8000')"


def test_a_key_with_a_line_break_is_refused_without_being_shown(make_client: Callable[..., Client]) -> None:
    with pytest.raises(ValueError, match="line break") as caught:
        make_client(api_key="secret\n")
    assert "secret" not in str(caught.value)


def test_an_http_client_that_was_passed_in_stays_open(server: FakeServer) -> None:
    with httpx.Client(transport=httpx.MockTransport(server)) as http:
        with Client(http=http):
            pass
        assert not http.is_closed


def test_leaving_the_block_closes_the_connections() -> None:
    with Client() as client:
        pass
    with pytest.raises(RuntimeError, match="closed"):
        client.health()


def test_negative_retries_are_refused(make_client: Callable[..., Client]) -> None:
    with pytest.raises(ValueError, match="-1"):
        make_client(max_retries=-1)


def test_an_answer_of_another_kind_is_quoted(client: Client, server: FakeServer) -> None:
    server.instead = [httpx.Response(200, text="<html>Welcome</html>")]
    with pytest.raises(steersman.ResponseError, match=r"no Health.*Welcome"):
        client.health()


def test_a_redirect_is_not_an_answer(client: Client, server: FakeServer) -> None:
    server.instead = [error(307, "elsewhere")]
    with pytest.raises(steersman.APIStatusError, match="elsewhere"):
        client.health()


def test_fields_of_a_newer_server_are_ignored(client: Client, server: FakeServer) -> None:
    server.instead = [
        httpx.Response(200, json={"status": "ok", "version": "9", "model": "m", "bundle": "b", "new": 1})
    ]
    assert client.health().version == "9"
