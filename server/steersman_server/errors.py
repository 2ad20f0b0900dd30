"""What can go wrong with a request, and the one table from exception to OpenAI error object."""

import logging
from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec

from steersman.types import ErrorEnvelope, ErrorObject
from steersman_catalog import UnknownFeatureError
from steersman_server.headers import request_id

log = logging.getLogger(__name__)

_ENVELOPE = ResponseSpec(ErrorEnvelope, description="What went wrong.", generate_examples=False)
ERROR_RESPONSES = {400: _ENVELOPE, 404: _ENVELOPE, 500: _ENVELOPE}
"""For the OpenAPI document."""

CODES = {404: "unknown_url", 405: "method_not_supported", 413: "request_too_large"}


class RequestError(ValueError):
    """A request that cannot be carried out as it stands; `param` is the field to blame."""

    def __init__(self, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.param = param
        self.code = code


class NotFoundError(RequestError):
    """A request that names something this server does not have."""


class ClientDisconnectedError(Exception):
    """Nobody waits for the answer any more."""


def describe(error: Exception) -> tuple[int, ErrorObject]:
    """The HTTP status and the error object of `error`."""
    match error:
        case NotFoundError():
            return 404, _invalid(str(error), error.param, error.code)
        case RequestError():
            return 400, _invalid(str(error), error.param, error.code)
        case UnknownFeatureError():
            return 404, _invalid(str(error), None, "feature_not_found")
        case ValidationException(extra=[{"key": "data"}, *_]):
            return 400, _invalid("We could not parse the JSON body of your request. It is empty.", None, None)
        case ValidationException(extra=[{"key": str(param), "message": str(problem)}, *_]):
            return 400, _invalid(f"Invalid '{param}': {problem}.", param, "invalid_value")
        case HTTPException(status_code=status, detail=detail) if status < 500:
            return status, _invalid(detail, None, CODES.get(status))
        case ClientDisconnectedError():
            return 499, _invalid("The client closed the connection.", None, None)
        case _:
            message = "The server had an error while processing your request; its log says more."
            return 500, ErrorObject(message=message, type="server_error", param=None, code=None)


def log_if_unexpected(error: Exception, identifier: str) -> None:
    """Write the traceback of an error that is the server's own fault."""
    if describe(error)[0] >= 500:
        log.error("Request %s failed.", identifier, exc_info=error)


def handle(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorEnvelope]:
    """Litestar's handler for every exception."""
    log_if_unexpected(error, request_id(request.scope))
    status, described = describe(error)
    if described.code in ("unknown_url", "method_not_supported"):
        message = f"{described.message}: {request.method} {request.url.path}"
        described = _invalid(message, None, described.code)
    headers = error.headers if isinstance(error, HTTPException) else None
    return Response(
        ErrorEnvelope(described), status_code=status, headers=headers, media_type="application/json"
    )


def _invalid(message: str, param: str | None, code: str | None) -> ErrorObject:
    return ErrorObject(message=message, type="invalid_request_error", param=param, code=code)
