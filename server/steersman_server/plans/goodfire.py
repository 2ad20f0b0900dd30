"""The field `controller`: Goodfire's words, refused in ours."""

from typing import Any

from steersman.goodfire import read_controller as read
from steersman.types import Condition, FeatureEdit
from steersman_server.errors import RequestError

Read = tuple[tuple[FeatureEdit, ...], tuple[Condition, ...]]
"""Edits, and conditions that end an answer."""


def read_controller(given: dict[str, Any]) -> Read:
    """What a controller or a Variant means.

    Raises:
        RequestError: It is neither, or asks for what was never defined.
    """
    try:
        return read(given)
    except ValueError as error:
        raise RequestError(
            f"Invalid 'controller': {str(error)[:300]}.", param="controller", code="invalid_value"
        ) from error
