"""What a type checker knows of the SDK; checked strictly, never run.

A comment that ignores an error is an error itself where there is none to ignore.
"""
# pyright: strict, reportUnnecessaryTypeIgnoreComment=error

import asyncio
from typing import assert_type

import httpx

import steersman
from steersman import AsyncClient, Client, Condition, Edits, Feature, FeatureEdit, FeatureGroup, Variant
from steersman.types import InspectedFeature, Role

HELLO = [{"role": "user", "content": "Hi"}]


def answers(client: Client, variant: Variant, whole_or_not: bool) -> None:
    create = client.chat.completions.create
    assert_type(create(messages=HELLO), steersman.ChatCompletion)
    assert_type(create(messages=HELLO, stream=True), steersman.ChatStream)
    assert_type(create(messages=HELLO, stream=whole_or_not), steersman.ChatCompletion | steersman.ChatStream)
    raw = create.with_raw_response(messages=HELLO, model=variant)
    assert_type(raw, steersman.RawResponse[steersman.ChatCompletion])
    assert_type(raw.parse().choices[0].message.content, str | None)
    assert_type(client.completions.create(prompt=[[1, 2], [3]]), steersman.Completion)
    assert_type(client.completions.create(prompt="Hi", stream=True), steersman.CompletionStream)
    assert_type(client.sweeps.create(messages=HELLO, sweep=[[]], score=True), steersman.Sweep)
    create(
        messages=HELLO, feature_edits=Edits([FeatureEdit(1, 0.5)]), abort_when=[Condition(feature=1, op=">")]
    )
    create(messages=HELLO, temprature=1)  # pyright: ignore[reportCallIssue]
    create(messages=HELLO, temperature="1")  # pyright: ignore[reportArgumentType]
    create(HELLO)  # pyright: ignore[reportCallIssue]


def streams(stream: steersman.ChatStream) -> None:
    with stream as same:
        for chunk in same:
            assert_type(chunk, steersman.ChatCompletionChunk)
    assert_type(stream.message, steersman.AnswerMessage)
    assert_type(stream.texts, tuple[str, ...])


def features(client: Client, feature: Feature, listed: InspectedFeature) -> None:
    found = client.features.search("food", min_rating=0.5)
    assert_type(found, steersman.FeatureList)
    assert_type([each for each in found], list[Feature])  # noqa: C416 # it is the iteration that is looked at
    assert_type(client.features.get(listed), Feature)
    assert_type(client.features.get.with_raw_response(feature).parse(), Feature)
    assert_type(client.features.lookup([1, feature, listed]), FeatureGroup)
    assert_type(client.features.neighbors(feature)[:3], FeatureGroup)
    assert_type(client.features.neighbors(feature)[0], Feature)
    assert_type(client.features.attribute(HELLO).attribution.suggested_edits(2), list[FeatureEdit])
    client.features.search()  # pyright: ignore[reportCallIssue]
    client.features.search("food", sort="density")  # pyright: ignore[reportCallIssue]
    client.features.list(sort="label")  # pyright: ignore[reportArgumentType]
    client.features.get("food")  # pyright: ignore[reportArgumentType]


def thoughts(one: Feature, other: Feature, group: FeatureGroup, edits: Edits) -> None:
    role: Role = "user"
    assert_type(one > 0.5, Condition)
    assert_type((one > other) & ~(other <= 0.1) | (one < 0.2), Condition)
    assert_type(one.edit(0.5, "add", roles=(role,), when=other > 0.1), FeatureEdit)
    assert_type(group & [one] | group - [other], FeatureGroup)
    assert_type((edits + edits) * 0.5 - one, Edits)
    one.edit(0.5, "multiply")  # pyright: ignore[reportArgumentType]
    one.label = "mine"  # pyright: ignore[reportAttributeAccessIssue]


async def awaited(client: AsyncClient, stream: steersman.AsyncChatStream) -> None:
    assert_type(await client.chat.completions.create(messages=HELLO), steersman.ChatCompletion)
    assert_type(await client.chat.completions.create(messages=HELLO, stream=True), steersman.AsyncChatStream)
    assert_type(await client.completions.create(prompt="Hi", stream=True), steersman.AsyncCompletionStream)
    assert_type(await client.features.search("food"), steersman.AsyncFeatureList)
    assert_type(await asyncio.create_task(client.features.get(1)), Feature)
    both = await asyncio.gather(client.health(), client.models.list())
    assert_type(both, tuple[steersman.Health, steersman.ModelList])
    async for chunk in stream:
        assert_type(chunk, steersman.ChatCompletionChunk)


def transports(sync: httpx.Client, other: httpx.AsyncClient) -> None:
    Client(http=sync, max_retries=0).with_options(timeout=httpx.Timeout(5, connect=1))
    AsyncClient(http=other)
    Client(http=other)  # pyright: ignore[reportArgumentType]
