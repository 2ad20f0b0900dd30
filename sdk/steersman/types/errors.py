"""Errors, in OpenAI's form."""

from msgspec import Struct


class ErrorObject(Struct, frozen=True, kw_only=True):
    """What went wrong, in OpenAI's form."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(Struct, frozen=True):
    """The body of every answer that is not 2xx."""

    error: ErrorObject
