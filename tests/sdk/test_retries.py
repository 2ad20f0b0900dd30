from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.sdk.conftest import FakeServer, error

import steersman
from steersman import Client
from steersman.retries import delay_after_failure, delay_after_status


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_passing_trouble_is_asked_about_again(
    client: Client, server: FakeServer, sleeps: list[float], status: int
) -> None:
    server.instead = [error(status, "busy"), error(status, "busy")]
    assert client.health().model == "tiny"
    assert len(sleeps) == 2


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), httpx.ReadTimeout("slow")])
def test_a_request_that_fails_is_sent_again(
    client: Client, server: FakeServer, sleeps: list[float], failure: Exception
) -> None:
    server.instead = [failure]
    assert client.health().model == "tiny"


def test_after_the_last_retry_the_error_is_raised(
    client: Client, server: FakeServer, sleeps: list[float]
) -> None:
    server.instead = [error(503, "loading")] * 3
    with pytest.raises(steersman.InternalServerError, match="loading"):
        client.health()
    assert (len(server.requests), len(sleeps)) == (3, 2)


@pytest.mark.parametrize("status", [400, 404, 409, 413])
def test_a_wrong_request_is_sent_once(
    client: Client, server: FakeServer, sleeps: list[float], status: int
) -> None:
    server.instead = [error(status, "wrong")]
    with pytest.raises(steersman.APIStatusError):
        client.health()
    assert sleeps == []


def test_no_retries_means_one_attempt(make_client: Callable[..., Client], server: FakeServer) -> None:
    server.instead = [httpx.ConnectError("refused")]
    with pytest.raises(steersman.APIConnectionError, match="cannot be reached: refused"):
        make_client(max_retries=0).health()


def test_a_timeout_has_its_own_error(make_client: Callable[..., Client], server: FakeServer) -> None:
    server.instead = [httpx.ReadTimeout("slow")]
    with pytest.raises(steersman.APITimeoutError):
        make_client(max_retries=0).health()


def test_the_wait_the_server_asks_for_is_kept(
    client: Client, server: FakeServer, sleeps: list[float]
) -> None:
    server.instead = [error(429, "busy", **{"retry-after": "7"})]
    client.health()
    assert sleeps == [7.0]


def test_a_wait_of_over_a_minute_is_an_error_at_once(
    client: Client, server: FakeServer, sleeps: list[float]
) -> None:
    server.instead = [error(429, "busy", **{"retry-after": "61"})]
    with pytest.raises(steersman.RateLimitError):
        client.health()
    assert sleeps == []


def test_a_wait_may_be_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    delay = delay_after_status(503, {"retry-after": date}, 0)
    assert delay == pytest.approx(30, abs=2)


def test_the_server_may_forbid_a_retry() -> None:
    assert delay_after_status(503, {"x-should-retry": "false"}, 0) is None


def test_the_server_may_ask_for_a_retry() -> None:
    assert delay_after_status(400, {"x-should-retry": "true", "retry-after": "0"}, 0) == 0


@given(st.one_of(st.text(), st.from_regex(r"[A-Z][a-z]{2}, \d{1,3} [A-Z][a-z]{2} \d{1,5} [\d:]{1,9}")))
@example("-5")
@example("nan")
@example("inf")
@example("Mon, 01 Jan 1990 00:00:00 GMT")
def test_no_header_makes_an_endless_or_negative_wait(value: str) -> None:
    delay = delay_after_status(503, {"retry-after": value}, 0)
    assert delay is None or 0 <= delay <= 60


def test_waits_double_up_to_eight_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 0.0)
    assert [delay_after_failure(attempt) for attempt in range(6)] == [0.5, 1, 2, 4, 8, 8]
