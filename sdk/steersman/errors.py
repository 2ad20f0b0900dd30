"""What can go wrong between a client and its server.

    SteersmanError
    ├── APIConnectionError            no answer, or one that broke off
    │   └── APITimeoutError
    ├── ResponseError                 an answer that is not what it should be
    └── APIError                      the server says what went wrong
        ├── StreamError               in the middle of a stream
        └── APIStatusError            any status that is not 2xx
            ├── BadRequestError       400
            ├── AuthenticationError   401
            ├── PermissionDeniedError 403
            ├── NotFoundError         404
            ├── ConflictError         409
            ├── RequestTooLargeError  413
            ├── RateLimitError        429
            └── InternalServerError   500 and above
                └── NotReadyError     503

A request that is wrong before it is sent is a `ValueError`.
"""

from http import HTTPStatus

import msgspec

from steersman.types import ErrorEnvelope, ErrorObject

EXCERPT_CHARS = 200


class SteersmanError(Exception):
    """Anything that goes wrong between a client and its server."""


class APIConnectionError(SteersmanError):
    """The server did not answer, or its answer broke off."""


class APITimeoutError(APIConnectionError):
    """The server took too long."""


class ResponseError(SteersmanError):
    """An answer is not what it should be; is this a steersman server?"""


class APIError(SteersmanError):
    """The server says what went wrong; `str()` of the error is its message."""

    def __init__(
        self,
        message: str,
        type: str | None = None,
        param: str | None = None,
        code: str | None = None,
        request_id: str | None = None,
        body: bytes = b"",
    ) -> None:
        super().__init__(message, type, param, code, request_id, body)
        self.message = message
        self.type = type
        self.param = param
        """The field of the request that is at fault."""
        self.code = code
        self.request_id = request_id
        """What to look for in the server's log."""
        self.body = body
        """As it was received."""

    def __str__(self) -> str:
        return self.message


class StreamError(APIError):
    """A stream that had begun well ended in an error; what came before it is incomplete."""


class APIStatusError(APIError):
    """The server refused a request, or failed."""

    def __init__(
        self,
        message: str,
        status_code: int,
        type: str | None = None,
        param: str | None = None,
        code: str | None = None,
        request_id: str | None = None,
        body: bytes = b"",
    ) -> None:
        super().__init__(message, type, param, code, request_id, body)
        self.args = (message, status_code, type, param, code, request_id, body)  # what pickle calls with
        self.status_code = status_code


class BadRequestError(APIStatusError):
    """400: the request is wrong; `param` names the field."""


class AuthenticationError(APIStatusError):
    """401: the API key is missing or wrong."""


class PermissionDeniedError(APIStatusError):
    """403: the API key does not allow this."""


class NotFoundError(APIStatusError):
    """404: no such model, feature or path."""


class ConflictError(APIStatusError):
    """409: a variant of that name is there already."""


class RequestTooLargeError(APIStatusError):
    """413: the request holds more than the server accepts."""


class RateLimitError(APIStatusError):
    """429: the server has too much to do."""


class InternalServerError(APIStatusError):
    """500 and above: the server failed; its log has the `request_id`."""


class NotReadyError(InternalServerError):
    """503: the server is starting or stopping."""


_BY_STATUS: dict[int, type[APIStatusError]] = {
    400: BadRequestError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: RequestTooLargeError,
    429: RateLimitError,
    503: NotReadyError,
}


def status_error(status_code: int, body: bytes, request_id: str | None = None) -> APIStatusError:
    """The error for an answer that is not 2xx, whatever its body holds."""
    cls = _BY_STATUS.get(status_code, InternalServerError if status_code >= 500 else APIStatusError)
    error = error_object(body)
    if error is None:
        return cls(_describe(status_code, body), status_code, request_id=request_id, body=body)
    return cls(error.message, status_code, error.type, error.param, error.code, request_id, body)


def error_object(body: bytes) -> ErrorObject | None:
    """The error that `body` holds, or None if it holds none in OpenAI's form."""
    try:
        return msgspec.json.decode(body, type=ErrorEnvelope).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def excerpt(body: bytes) -> str:
    """The beginning of a body, to show in a message."""
    text = " ".join(body.decode(errors="replace").split())
    return text if len(text) <= EXCERPT_CHARS else text[:EXCERPT_CHARS] + "…"


def _describe(status_code: int, body: bytes) -> str:
    try:
        status = f"{status_code} {HTTPStatus(status_code).phrase}"
    except ValueError:
        status = str(status_code)
    return f"The server answered {status}: {excerpt(body) or '(an empty body)'}"
