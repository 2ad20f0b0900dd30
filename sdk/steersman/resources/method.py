"""Methods made of calls: a call is described once, and sent by either client.

`sent(build)` and `paged(build)` are methods of a `Resource`, `awaited(build)` and `awaited_pages(build)`
those of an `AsyncResource`. Each has the parameters of `build`, and `with_raw_response` beside it.
"""

from collections.abc import Callable
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, TypeVar, overload

from steersman.async_transport import AsyncTransport
from steersman.calls import Call
from steersman.pages import AsyncFeatureList, FeatureList
from steersman.raw import RawResponse
from steersman.transport import Transport
from steersman.types import FeaturePage

P = ParamSpec("P")
T = TypeVar("T")
B = TypeVar("B")


class Resource:
    """Methods that a client sends and waits for."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport


class AsyncResource:
    """Methods whose answers are awaited."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport


class Bound(Generic[P, T]):
    """A method of one client; `with_raw_response` gives headers and request id with the answer."""

    def __init__(self, build: Callable[P, Call[T]], of: Resource) -> None:
        self._build, self._transport = build, of._transport  # pyright: ignore[reportPrivateUsage] # its own method
        update_wrapper(self, build)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Send it, and read the answer."""
        return self._transport.send(self._build(*args, **kwargs))

    def with_raw_response(self, *args: P.args, **kwargs: P.kwargs) -> RawResponse[T]:
        """The answer with what HTTP said of it."""
        return self._transport.raw(self._build(*args, **kwargs))


class AsyncBound(Generic[P, T]):
    """The same, awaited."""

    def __init__(self, build: Callable[P, Call[T]], of: AsyncResource) -> None:
        self._build, self._transport = build, of._transport  # pyright: ignore[reportPrivateUsage] # its own method
        update_wrapper(self, build)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Send it, and read the answer."""
        return await self._transport.send(self._build(*args, **kwargs))

    async def with_raw_response(self, *args: P.args, **kwargs: P.kwargs) -> RawResponse[T]:
        """The answer with what HTTP said of it."""
        return await self._transport.raw(self._build(*args, **kwargs))


class BoundPages(Generic[P]):
    """A method of one client whose answer goes on, page after page."""

    def __init__(self, build: Callable[P, Call[FeaturePage]], of: Resource) -> None:
        self._build, self._transport = build, of._transport  # pyright: ignore[reportPrivateUsage] # its own method
        update_wrapper(self, build)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> FeatureList:
        """Ask for the first page."""
        call = self._build(*args, **kwargs)
        return FeatureList(self._transport.send(call), call, self._transport)

    def with_raw_response(self, *args: P.args, **kwargs: P.kwargs) -> RawResponse[FeaturePage]:
        """The first page alone, with what HTTP said of it."""
        return self._transport.raw(self._build(*args, **kwargs))


class AsyncBoundPages(Generic[P]):
    """The same, awaited."""

    def __init__(self, build: Callable[P, Call[FeaturePage]], of: AsyncResource) -> None:
        self._build, self._transport = build, of._transport  # pyright: ignore[reportPrivateUsage] # its own method
        update_wrapper(self, build)

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncFeatureList:
        """Ask for the first page."""
        call = self._build(*args, **kwargs)
        return AsyncFeatureList(await self._transport.send(call), call, self._transport)

    async def with_raw_response(self, *args: P.args, **kwargs: P.kwargs) -> RawResponse[FeaturePage]:
        """The first page alone, with what HTTP said of it."""
        return await self._transport.raw(self._build(*args, **kwargs))


class Method(Generic[B]):
    """Descriptor of a method; what it does is said by the call it sends."""

    def __init__(self, build: Callable[..., Call[Any]], bound: Callable[[Any, Any], B]) -> None:
        self.build, self._bound = build, bound
        self.__doc__, self.__wrapped__ = build.__doc__, build  # help() and inspect look at the class

    @overload
    def __get__(self, instance: None, owner: type[Any]) -> "Method[B]": ...

    @overload
    def __get__(self, instance: Resource | AsyncResource, owner: type[Any]) -> B: ...

    def __get__(self, instance: Resource | AsyncResource | None, owner: type[Any]) -> "Method[B] | B":
        return self if instance is None else self._bound(self.build, instance)


def sent(build: Callable[P, Call[T]]) -> Method[Bound[P, T]]:
    """A method that sends the call which `build` describes."""
    return Method(build, Bound)


def awaited(build: Callable[P, Call[T]]) -> Method[AsyncBound[P, T]]:
    """The same for an asynchronous client."""
    return Method(build, AsyncBound)


def paged(build: Callable[P, Call[FeaturePage]]) -> Method[BoundPages[P]]:
    """A method that asks for pages of features."""
    return Method(build, BoundPages)


def awaited_pages(build: Callable[P, Call[FeaturePage]]) -> Method[AsyncBoundPages[P]]:
    """The same for an asynchronous client."""
    return Method(build, AsyncBoundPages)
