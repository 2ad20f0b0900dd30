"""Methods made of calls: a call is described once, and sent by either client."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar

import httpx

from steersman.async_transport import AsyncTransport
from steersman.calls import Call, decode
from steersman.transport import Transport

P = ParamSpec("P")
T = TypeVar("T")


class Resource:
    """Methods that a client sends and waits for."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport


class AsyncResource:
    """Methods whose answers are awaited."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport


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


def sent(build: Callable[P, Call[T]]) -> "Method[P, T]":
    """A method that sends the call which `build` describes."""
    return Method(build)


def awaited(build: Callable[P, Call[T]]) -> "AsyncMethod[P, T]":
    """An asynchronous method that sends the call which `build` describes."""
    return AsyncMethod(build)


class Bound(Generic[P, T]):
    """A method of one client; `with_raw_response` gives headers and request id with the answer."""

    def __init__(self, build: Callable[P, Call[T]], transport: Transport) -> None:
        self._build, self._transport = build, transport
        update_wrapper(self, build)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Send it, and read the answer."""
        return self._transport.send(self._build(*args, **kwargs))

    def with_raw_response(self, *args: P.args, **kwargs: P.kwargs) -> RawResponse[T]:
        """The answer with what HTTP said of it."""
        call = self._build(*args, **kwargs)
        response = self._transport.request(call)
        return RawResponse(response.status_code, response.headers, response.content, call.answer)


class AsyncBound(Generic[P, T]):
    """The same, awaited."""

    def __init__(self, build: Callable[P, Call[T]], transport: AsyncTransport) -> None:
        self._build, self._transport = build, transport
        update_wrapper(self, build)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        """Send it, and read the answer."""
        return self._transport.send(self._build(*args, **kwargs))

    async def with_raw_response(self, *args: P.args, **kwargs: P.kwargs) -> RawResponse[T]:
        """The answer with what HTTP said of it."""
        call = self._build(*args, **kwargs)
        response = await self._transport.request(call)
        return RawResponse(response.status_code, response.headers, response.content, call.answer)


class Method(Generic[P, T]):
    """Descriptor of a method; what it does is said by the call it sends."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self.build = build
        self.__doc__, self.__wrapped__ = build.__doc__, build

    def __get__(self, instance: Resource | None, owner: type[Any] | None = None) -> Bound[P, T]:
        if instance is None:
            return self  # type: ignore[return-value] # help() and inspect look at the class
        return Bound(self.build, instance._transport)


class AsyncMethod(Generic[P, T]):
    """The same for an asynchronous client."""

    def __init__(self, build: Callable[P, Call[T]]) -> None:
        self.build = build
        self.__doc__, self.__wrapped__ = build.__doc__, build

    def __get__(self, instance: AsyncResource | None, owner: type[Any] | None = None) -> AsyncBound[P, T]:
        if instance is None:
            return self  # type: ignore[return-value]
        return AsyncBound(self.build, instance._transport)
