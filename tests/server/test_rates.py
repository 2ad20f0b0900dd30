"""How much a key may ask for, and what it may ask at all."""

import asyncio
import contextlib
from types import SimpleNamespace

import httpx
import pytest

from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.errors import RequestError
from steersman_server.keys import ApiKey
from steersman_server.rates import Bucket, Caller
from steersman_server.routes import ROUTES

HELLO = [{"role": "user", "content": "Hi"}]
ALICE = {"authorization": "Bearer alice's"}
BOB = {"authorization": "Bearer bob's"}


@pytest.fixture
def clock():
    return SimpleNamespace(s=0.0)


def key(name="alice", **fields):
    made = ApiKey.of(f"{name}'s", name)
    return ApiKey(name=made.name, sha256=made.sha256, **fields)


def refused(answer):
    return answer.status_code, answer.json()["error"]["code"]


def test_a_bucket_gives_a_minutes_worth_at_once_and_the_rest_in_time(clock):
    bucket = Bucket(60, lambda: clock.s)
    bucket.take(60)
    assert bucket.wait_s(1) == 1
    clock.s = 30
    assert bucket.level == 30


def test_a_bucket_never_holds_more_than_a_minutes_worth(clock):
    bucket = Bucket(60, lambda: clock.s)
    clock.s = 1e9
    assert bucket.level == 60


def test_a_debt_is_waited_for(clock):
    bucket = Bucket(60, lambda: clock.s)
    bucket.take(180)
    assert bucket.wait_s(0) == 120


def test_a_clock_that_stands_still_gives_nothing(clock):
    bucket = Bucket(60, lambda: clock.s)
    bucket.take(60)
    assert [bucket.level for _ in range(3)] == [0, 0, 0]


def test_a_caller_may_ask_so_often_a_minute(clock):
    caller = Caller(key(requests_per_minute=2), ServerConfig(), lambda: clock.s)
    for _ in range(2):
        with caller.asking():
            pass
    with pytest.raises(RequestError) as refused, caller.asking():
        pass
    assert (refused.value.code, refused.value.retry_after_s) == ("rate_limit_exceeded", 30)
    clock.s = 30
    with caller.asking():
        pass


def test_a_caller_may_have_so_many_requests_under_way_and_then_more():
    caller = Caller(key(max_concurrent=1), ServerConfig())
    with caller.asking(), pytest.raises(RequestError) as refused, caller.asking():
        pass
    assert refused.value.code == "concurrency_limit_exceeded"
    with caller.asking():
        pass


def test_the_servers_limits_hold_where_a_key_has_none(clock):
    config = ServerConfig(requests_per_minute=6, tokens_per_minute=60, max_concurrent=3)
    own, common = (
        [bucket and bucket.per_minute for bucket in (caller.requests, caller.tokens)]
        for caller in (Caller(key(requests_per_minute=60), config), Caller(key(), config))
    )
    assert (own, common) == ([60, 60], [6, 60])


@pytest.mark.parametrize(("own", "num"), [(None, 1), (2, 2)])
def test_a_key_without_a_number_of_its_own_has_the_server_s_of_requests_at_once(own, num):
    caller = Caller(key(max_concurrent=own), ServerConfig(max_concurrent=1))
    with contextlib.ExitStack() as asking:
        for _ in range(num):
            asking.enter_context(caller.asking())
        with pytest.raises(RequestError):
            asking.enter_context(caller.asking())


def test_where_no_key_is_asked_for_nothing_is_counted(served, engine):
    config = ServerConfig(requests_per_minute=1, tokens_per_minute=1, max_concurrent=1)

    async def ask():
        transport = httpx.ASGITransport(create_app(served, config))  # pyright: ignore[reportArgumentType]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            body = {"messages": HELLO, "stream": True}
            return await asyncio.gather(*(http.post("/v1/chat/completions", json=body) for _ in range(3)))

    answers = asyncio.run(ask())
    assert [answer.status_code for answer in answers] == [200] * 3
    assert not any(name.startswith("x-ratelimit") for name in answers[0].headers)


def test_a_request_too_many_is_told_when_to_come_back(client_with):
    with client_with(keys=(key(requests_per_minute=1), key("bob"))) as http:
        first, second = (http.get("/v1/models", headers=ALICE) for _ in range(2))
        assert (first.status_code, refused(second)) == (200, (429, "rate_limit_exceeded"))
        assert 50 <= int(second.headers["retry-after"]) <= 60
        assert second.headers["x-should-retry"] == "true"
        assert http.get("/v1/models", headers=BOB).status_code == 200


def test_what_is_left_stands_in_openais_headers(client_with):
    with client_with(keys=(key(requests_per_minute=10),)) as http:
        headers = http.get("/v1/models", headers=ALICE).headers
        assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == (
            "10",
            "9",
        )
        assert float(headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 6
        assert "x-ratelimit-limit-tokens" not in headers
    with client_with(keys=(key(tokens_per_minute=10),)) as http:
        headers = http.get("/v1/models", headers=ALICE).headers
        assert (headers["x-ratelimit-limit-tokens"], headers["x-ratelimit-remaining-tokens"]) == ("10", "10")
        assert "x-ratelimit-limit-requests" not in headers


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_paid_for_by_its_tokens(client_with, engine, stream):
    engine.says("a" * 240)
    with client_with(keys=(key(tokens_per_minute=60),)) as http:
        http.post("/v1/chat/completions", json={"messages": HELLO, "stream": stream}, headers=ALICE)
        answer = http.get("/v1/models", headers=ALICE)
        assert refused(answer) == (429, "rate_limit_exceeded")
        assert 150 < int(answer.headers["retry-after"]) < 240


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/features/inspect", {"messages": HELLO}),
        ("/v1/features/attribute", {"messages": [*HELLO, {"role": "assistant", "content": "Ho"}]}),
        ("/v1/features/contrast", {"positive": [HELLO], "negative": [HELLO]}),
        ("/v1/logits", {"messages": HELLO}),
        ("/v1/sweeps", {"messages": HELLO, "sweep": [[]]}),
        ("/v1/completions", {"prompt": "Once"}),
    ],
)
def test_whoever_used_up_their_tokens_waits(client_with, engine, path, body):
    with client_with(keys=(key(tokens_per_minute=1),)) as http:
        first, second = (http.post(path, json=body, headers=ALICE) for _ in range(2))
        assert (first.status_code, refused(second)) == (200, (429, "rate_limit_exceeded")), first.text


def test_a_stream_counts_until_it_ends(served, engine):
    async def ask():
        app = create_app(served, ServerConfig(keys=(key(max_concurrent=1),)))
        transport = httpx.ASGITransport(app)  # pyright: ignore[reportArgumentType]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=ALICE) as http:
            body = {"messages": HELLO, "stream": True}
            answers = await asyncio.gather(*(http.post("/v1/chat/completions", json=body) for _ in range(2)))
            return [*answers, await http.post("/v1/chat/completions", json=body)]

    first, second, third = sorted(asyncio.run(ask()), key=lambda answer: answer.status_code)
    assert (first.status_code, second.status_code) == (200, 200)
    assert refused(third) == (429, "concurrency_limit_exceeded") and third.headers["retry-after"] == "1"


LOOKS = [("attribution", {"tokens": [0]}), ("activations", {"top_k": 1})]


@pytest.mark.parametrize(("field", "value"), LOOKS)
def test_a_key_that_may_chat_sees_nothing_inside(client_with, field, value):
    with client_with(keys=(key(role="chat"), key("bob", role="inspect"))) as http:
        body = {"messages": HELLO, field: value}
        answer = http.post("/v1/chat/completions", json=body, headers=ALICE)
        assert refused(answer) == (403, "key_not_allowed")
        assert answer.json()["error"]["param"] == field
        assert http.post("/v1/chat/completions", json=body, headers=BOB).status_code == 200


@pytest.mark.parametrize(
    ("role", "statuses"),
    [("chat", [200, 403, 403]), ("inspect", [200, 200, 403]), ("admin", [200, 200, 200])],
)
def test_a_role_opens_what_belongs_to_it(client_with, role, statuses):
    with client_with(keys=(key(role=role),)) as http:
        paths = ["/v1/models", "/v1/features", "/metrics"]
        assert [http.get(path, headers=ALICE).status_code for path in paths] == statuses


MAY = {
    "chat": [
        "POST /v1/chat/completions",
        "POST /v1/completions",
        "GET /v1/models",
        "GET /v1/models/org/tiny",
        "GET /v1/variants",
        "GET /v1/variants/x",
        "POST /tokenize",
        "POST /detokenize",
    ],
    "inspect": [
        "GET /v1/features",
        "GET /v1/features/0",
        "GET /v1/features/0/dashboard",
        "GET /v1/features/0/neighbors",
        "GET /v1/features/map",
        "POST /v1/features/lookup",
        "POST /v1/features/neighbors",
        "POST /v1/features/rerank",
        "POST /v1/features/inspect",
        "POST /v1/features/attribute",
        "POST /v1/features/contrast",
        "POST /v1/sweeps",
        "POST /v1/logits",
    ],
    "admin": [
        "POST /v1/variants",
        "PUT /v1/variants/x",
        "DELETE /v1/variants/x",
        "POST /v1/variants/import",
        "GET /metrics",
    ],
}
"""What docs/configuration.md says of roles; each may do what those before it may."""


@pytest.mark.parametrize("role", MAY)
def test_a_role_may_do_what_is_its_own_and_nothing_beyond(client_with, role):
    roles = list(MAY)
    with client_with(keys=(key(role=role),)) as http:
        for other, requests in MAY.items():
            for method, path in (each.split() for each in requests):
                answer = http.request(method, path, headers=ALICE, json={} if method != "GET" else None)
                refused = answer.status_code == 403 and answer.json()["error"]["code"] == "key_not_allowed"
                assert refused is (roles.index(other) > roles.index(role)), (method, path, answer.text)


def test_a_refused_key_is_named_and_not_told(client_with):
    with client_with(keys=(key(role="chat"),)) as http:
        message = http.get("/metrics", headers=ALICE).json()["error"]["message"]
    assert "'alice'" in message and "alice's" not in message


def test_every_handler_has_a_role(served):
    app = create_app(served, ServerConfig())
    ours = [handler for handlers in ROUTES.values() for handler in handlers]
    without = {
        route.path
        for route in app.routes
        for handler, _ in getattr(route, "route_handler_map", {}).values()
        if "role" not in handler.opt
    }
    assert ours and without == set()
