"""The clients in threads, in a running loop as a notebook has one, and in asyncio."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from tests.sdk.conftest import LABELS, FakeServer, chunk, error, sse

import steersman
from steersman import AsyncClient, Client

HELLO = [{"role": "user", "content": "Hi"}]
MANY = [number % len(LABELS) for number in range(40)]


def test_threads_may_share_a_client(client: Client) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(client.features.get, MANY))
    assert [feature.index for feature in found] == MANY


def test_the_client_works_where_a_loop_is_running(client: Client) -> None:
    async def cell() -> str | None:
        return client.chat.completions.create(messages=HELLO).choices[0].message.content

    assert asyncio.run(cell()) == "Hello"


def test_the_asynchronous_client_asks_many_things_at_once(server: FakeServer) -> None:
    async def ask() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as http:
            client = AsyncClient(http=http)
            return [feature.index for feature in await asyncio.gather(*map(client.features.get, MANY))]

    assert asyncio.run(ask()) == MANY


def test_a_wait_before_another_try_holds_up_nothing_else(server: FakeServer) -> None:
    server.instead = [error(503, "starting", **{"retry-after": "0.2"})]

    async def ask() -> int:
        async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as http:
            answer = asyncio.create_task(AsyncClient(http=http).features.get(1))
            turns = 0
            while not answer.done():
                await asyncio.sleep(0.01)
                turns += 1
            await answer
            return turns

    assert asyncio.run(ask()) > 2
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("events", "message"),
    [([chunk("half")], "incomplete"), ([{"error": {"message": "out of memory"}}], "out of")],
)
def test_an_asynchronous_stream_that_fails_says_so(
    server: FakeServer, events: list[dict], message: str
) -> None:
    server.instead = [
        httpx.Response(200, content=sse(*events), headers={"content-type": "text/event-stream"})
    ]

    async def read() -> None:
        async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as http:
            client = AsyncClient(http=http)
            async for _ in await client.chat.completions.create(messages=HELLO, stream=True):
                pass

    with pytest.raises(steersman.SteersmanError, match=message):
        asyncio.run(read())
    assert len(server.requests) == 1
