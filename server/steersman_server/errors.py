"""What can go wrong with a request, and the one table from exception to OpenAI error object."""

import logging
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec

from steersman.types import ErrorEnvelope, ErrorObject
from steersman_catalog import UnknownFeatureError
from steersman_engine.engine import (
    EngineBusyError,
    EngineClosedError,
    EngineTimeoutError,
    RequestTooLargeError,
)
from steersman_server.error_codes import CODES
from steersman_server.variants import NotKeptError

log = logging.getLogger(__name__)

RETRY_AFTER_S = 1
STOPPING = "The server is stopping; ask again, where another may answer."
BY_STATUS = {
    400: "invalid_value",
    404: "unknown_url",
    405: "method_not_supported",
    413: "request_too_large",
    415: "unsupported_media_type",
}


class RequestError(ValueError):
    """A request that cannot be carried out as it stands; `param` is the field to blame."""

    def __init__(
        self, message: str, *, code: str, param: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        assert code in CODES, code
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s


class ClientDisconnectedError(Exception):
    """Nobody waits for the answer any more."""


def error_responses(*statuses: int) -> dict[int, ResponseSpec]:
    """Those an endpoint may answer with, beside the ones that any may, for the OpenAPI document."""
    envelope = ResponseSpec(ErrorEnvelope, description="What went wrong.", generate_examples=False)
    return dict.fromkeys(sorted({400, 401, 403, 404, 500, *statuses}), envelope)


def describe(error: Exception) -> tuple[int, ErrorObject]:
    """The HTTP status and the error object of `error`."""
    match error:
        case RequestError():
            return _made(error.code, str(error), error.param)
        case UnknownFeatureError():
            return _made("feature_not_found", str(error))
        case RequestTooLargeError():
            return _made("too_many_positions", str(error))
        case NotKeptError():
            message = "The server cannot write to its disk, so nothing was changed; its log says more."
            return _made("storage_failed", message)
        case EngineTimeoutError():
            return _made("deadline_exceeded", "There was not enough time; try again later, or ask for less.")
        case EngineClosedError():
            return _made("not_ready", STOPPING)
        case EngineBusyError():
            return _made("engine_busy", "The server has too much to do; try again later.")
        case ValidationException(extra=[{"key": "data"}, *_]):
            message = "We could not parse the JSON body of your request. It is empty."
            return _made("invalid_json", message)
        case ValidationException(extra=[{"key": str(param), "message": str(problem)}, *_]):
            return _made("invalid_value", f"Invalid '{param}': {problem}.", param)
        case HTTPException(status_code=status, detail=detail) if status in BY_STATUS:
            return _made(BY_STATUS[status], detail)
        case ClientDisconnectedError():
            return _made("client_closed_request", "The client closed the connection.")
        case _:
            message = "The server had an error while processing your request; its log says more."
            return _made("internal_error", message)


def log_if_unexpected(error: Exception, identifier: str) -> None:
    """Write the traceback of an error that is the server's own fault."""
    if describe(error)[0] >= 500 and not isinstance(error, EngineClosedError):
        log.error("Request %s failed.", identifier, exc_info=error)


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorEnvelope]:
    """Litestar's handler for every exception."""
    status, described = describe(error)
    if described.code in ("unknown_url", "method_not_supported"):
        message = f"{described.message}: {request.method} {request.url.path[:200]}"
        _, described = _made(described.code, message)
    headers = dict(error.headers or {}) if isinstance(error, HTTPException) else {}
    headers |= extra_headers(status)
    if isinstance(error, EngineClosedError):
        headers["connection"] = "close"
    if isinstance(error, RequestError) and error.retry_after_s is not None:
        headers["retry-after"] = str(error.retry_after_s)
    return Response(
        ErrorEnvelope(described),
        status_code=status,
        headers=headers,
        media_type="application/json",
    )


def extra_headers(status: int) -> dict[str, str]:
    """What clients go by beside the status."""
    match status:
        case 401:
            return {"www-authenticate": "Bearer"}
        case 408 | 429 | 503:
            return {"retry-after": str(RETRY_AFTER_S), "x-should-retry": "true"}
        case 500 | 507:
            return {"x-should-retry": "false"}  # it would fail again
        case _:
            return {}


def _made(code: str, message: str, param: str | None = None) -> tuple[int, ErrorObject]:
    known = CODES[code]
    return known.status, ErrorObject(message=message, type=known.type, param=param, code=code)
