import pickle

import pytest

import steersman
from steersman.errors import status_error

BODY = b'{"error": {"message": "No feature 99", "type": "t", "param": "p", "code": "c"}}'


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (400, steersman.BadRequestError),
        (401, steersman.AuthenticationError),
        (403, steersman.PermissionDeniedError),
        (404, steersman.NotFoundError),
        (409, steersman.ConflictError),
        (413, steersman.RequestTooLargeError),
        (418, steersman.APIStatusError),
        (429, steersman.RateLimitError),
        (500, steersman.InternalServerError),
        (503, steersman.NotReadyError),
    ],
)
def test_each_status_has_its_class(status: int, cls: type[steersman.APIStatusError]) -> None:
    assert type(status_error(status, BODY)) is cls


def test_an_error_keeps_all_that_the_server_said() -> None:
    error = status_error(404, BODY, "req-1")
    assert str(error) == "No feature 99"
    assert (error.status_code, error.type, error.param, error.code) == (404, "t", "p", "c")
    assert (error.request_id, error.body) == ("req-1", BODY)


@pytest.mark.parametrize(
    "body", [b"<html>Bad\n Gateway</html>", b'{"detail": "Gateway"}', b"Gateway \xff", b"[" * 9999]
)
def test_a_body_in_another_form_is_quoted(body: bytes) -> None:
    error = status_error(502, body)
    assert str(error).startswith("The server answered 502 Bad Gateway: " + body[:5].decode())
    assert len(str(error)) < 300


def test_an_empty_body_is_said_to_be_empty() -> None:
    assert str(status_error(599, b"")) == "The server answered 599: (an empty body)"


@pytest.mark.parametrize("error", [status_error(404, BODY, "req-1"), steersman.StreamError("m", code="c")])
def test_an_error_survives_pickling(error: steersman.APIError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.args, vars(copy)) == (type(error), error.args, vars(error))
