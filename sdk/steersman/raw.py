"""An answer beside what HTTP said of it."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import httpx

from steersman.calls import decode

T = TypeVar("T")


@dataclass(frozen=True)
class RawResponse(Generic[T]):
    """An answer before it is read: what HTTP said of it, and the answer itself by `parse`."""

    status_code: int
    headers: httpx.Headers
    content: bytes
    _answer: type[T]

    @property
    def request_id(self) -> str | None:
        """What the server calls this request in its log."""
        return self.headers.get("x-request-id")

    def parse(self) -> T:
        """The answer.

        Raises:
            ResponseError: The body is something else.
        """
        return decode(self.content, self._answer)
