"""`POST /v1/chat/completions`."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator
from typing import Any

from litestar import Request, Response, post
from litestar.background_tasks import BackgroundTask
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from litestar.response import Stream

from steersman.types import AnswerMessage, ChatCompletion, ChatRequest, Choice
from steersman_server.answer import Answer
from steersman_server.body import ChatBody
from steersman_server.config import ServerConfig
from steersman_server.disconnect import until_disconnect
from steersman_server.errors import ERROR_RESPONSES
from steersman_server.headers import request_id
from steersman_server.plan import Plan
from steersman_server.served import ServedModel
from steersman_server.stream import Chunks, events_of

STREAM_HEADERS = {"cache-control": "no-cache", "x-accel-buffering": "no"}


@post(
    "/v1/chat/completions",
    status_code=200,
    dto=ChatBody,
    return_dto=None,
    tags=["chat"],
    responses={
        200: ResponseSpec(
            ChatCompletion,
            description="The answer; with `stream`, server-sent events that hold a ChatCompletionChunk each.",
            generate_examples=False,
        ),
        **ERROR_RESPONSES,
    },
)
async def create_chat_completion(
    data: JSONBody[ChatRequest],
    request: Request[Any, Any, Any],
    served: NamedDependency[ServedModel],
    config: NamedDependency[ServerConfig],
) -> Response[ChatCompletion] | Stream:
    """Answer a conversation, steered."""
    answer = Answer(await asyncio.to_thread(Plan.of, data, served, config), served)
    identifier, created = f"chatcmpl-{secrets.token_hex(12)}", int(time.time())
    if not data.stream:
        return Response(await until_disconnect(request, _complete(answer, served, identifier, created)))
    chunks = Chunks(identifier, created, served.name, served.fingerprint)
    with_usage = data.stream_options is not None and data.stream_options.include_usage
    events = events_of(answer, chunks, with_usage=with_usage, request_id=request_id(request.scope))
    first = await until_disconnect(request, anext(events))  # so that an error before it has its status
    return Stream(
        _rejoin(first, events),
        media_type="text/event-stream",
        headers=STREAM_HEADERS,
        background=BackgroundTask(events.aclose),  # runs after a disconnect too
    )


async def _complete(answer: Answer, served: ServedModel, identifier: str, created: int) -> ChatCompletion:
    text = "".join([piece async for piece in answer.deltas()])
    assert answer.finish_reason is not None
    message = AnswerMessage(role="assistant", content=text, refusal=None)
    return ChatCompletion(
        id=identifier,
        object="chat.completion",
        created=created,
        model=served.name,
        choices=[Choice(index=0, message=message, finish_reason=answer.finish_reason, logprobs=None)],
        usage=answer.usage,
        system_fingerprint=served.fingerprint,
        steering=answer.steering,
        attribution=await answer.attribution(),
    )


async def _rejoin(first: bytes, rest: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    yield first
    async for event in rest:
        yield event
