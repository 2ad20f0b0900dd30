"""Query parameters, as strictly as bodies."""

from collections.abc import Sequence
from typing import Any, TypeVar

from litestar import Request

from steersman_server.errors import RequestError
from steersman_server.requests.validation import excerpt

T = TypeVar("T", bound=str)


def check_names(request: Request[Any, Any, Any], known: Sequence[str]) -> None:
    """Refuse parameters that do not exist.

    Raises:
        RequestError: There is one.
    """
    for name in request.query_params:
        if name not in known:
            message = f"Unknown parameter: '{excerpt(name)}'. There are: {', '.join(known)}."
            raise RequestError(message, param=excerpt(name), code="unknown_parameter")


def one_of(given: str | None, known: Sequence[T], name: str) -> T | None:
    """The value, if it is one of those there are.

    Raises:
        RequestError: It is not.
    """
    if given is None:
        return None
    for value in known:
        if value == given:
            return value
    message = f"Invalid value: '{excerpt(given)}'. Supported values of '{name}' are: {', '.join(known)}."
    raise RequestError(message, param=name, code="invalid_value")
