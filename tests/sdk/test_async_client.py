"""The asynchronous client is the synchronous one, awaited."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from tests.sdk.conftest import FakeServer

from steersman import AsyncClient, Client, NotFoundError

HELLO = [{"role": "user", "content": "Hi"}]
GROUPS = ("chat.completions", "completions", "features", "models", "sweeps", "variants", "")


@asynccontextmanager
async def connected(server: FakeServer) -> AsyncIterator[AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as http:
        yield AsyncClient(http=http)


def public(client: Any, group: str) -> dict[str, Callable[..., Any]]:
    for name in filter(None, group.split(".")):
        client = getattr(client, name)
    members = {name: getattr(client, name) for name in dir(client) if not name.startswith("_")}
    return {name: member for name, member in members.items() if callable(member)}


@pytest.mark.parametrize("group", GROUPS)
def test_both_clients_have_the_same_methods(group: str) -> None:
    sync, other = public(Client("http://a"), group), public(AsyncClient("http://a"), group)
    assert sync.keys() == other.keys()
    for name, method in sync.items():
        assert list(inspect.signature(method).parameters) == list(inspect.signature(other[name]).parameters)
        assert inspect.getdoc(method) == inspect.getdoc(other[name]), name


def test_an_answer_is_awaited(server: FakeServer) -> None:
    async def ask() -> str | None:
        async with connected(server) as client:
            return (await client.chat.completions.create(messages=HELLO)).choices[0].message.content

    assert asyncio.run(ask()) == "Hello"


def test_a_stream_is_iterated_over(server: FakeServer) -> None:
    async def ask() -> tuple[str, int | None]:
        async with (
            connected(server) as client,
            await client.chat.completions.create(messages=HELLO, stream=True) as stream,
        ):
            pieces = [choice.delta.content or "" async for chunk in stream for choice in chunk.choices]
            assert "".join(pieces) == stream.text
            return stream.text, stream.usage.total_tokens if stream.usage else None

    text, total = asyncio.run(ask())
    assert text and total


def test_iterating_over_a_page_goes_on_to_the_next(server: FakeServer) -> None:
    async def read() -> list[int]:
        async with connected(server) as client:
            return [feature.index async for feature in await client.features.list(limit=2)]

    assert asyncio.run(read()) == [0, 1, 2, 3, 4]


def test_errors_are_the_same(server: FakeServer) -> None:
    async def read() -> None:
        async with connected(server) as client:
            await client.features.get(99)

    with pytest.raises(NotFoundError, match="No feature 99"):
        asyncio.run(read())


def test_a_raw_response_has_headers_and_the_answer(client: Client) -> None:
    raw = client.features.get.with_raw_response(1)
    assert raw.status_code == 200
    assert raw.parse() == client.features.get(1)
