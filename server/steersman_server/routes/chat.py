"""`POST /v1/chat/completions`."""

import asyncio
from dataclasses import dataclass
from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from litestar.response import Stream

from steersman.types import (
    AnswerMessage,
    ChatCompletion,
    ChatCompletionChunk,
    ChatRequest,
    Choice,
    ChoiceActivations,
    ChoiceAttribution,
    ChunkChoice,
    Delta,
    Moderation,
    SteeringReceipt,
    Usage,
)
from steersman.types.tools import whole_calls
from steersman_server.account import account_of
from steersman_server.answers.answer import Piece
from steersman_server.answers.explanation import Explanation
from steersman_server.answers.likelihoods import chat_logprobs
from steersman_server.answers.work import Work
from steersman_server.disconnect import until_disconnect
from steersman_server.errors import RequestError, error_responses
from steersman_server.moderation.moderator import texts_of, texts_of_tools
from steersman_server.plans.calling import calling
from steersman_server.plans.intent import intended
from steersman_server.plans.masks import json_masks
from steersman_server.plans.models import choose_model
from steersman_server.plans.plan import plan
from steersman_server.plans.prompts import conversation
from steersman_server.requests.body import json_body
from steersman_server.requests.fields import CHAT_FIELDS
from steersman_server.routes.answering import Identity, check_insight, stream, stream_options
from steersman_server.running import Running


@post(
    ["/v1/chat/completions", "/chat/completions"],
    status_code=200,
    dto=json_body(ChatRequest, CHAT_FIELDS),
    return_dto=None,
    tags=["chat"],
    responses={
        200: ResponseSpec(ChatCompletion, description="The answer.", generate_examples=False),
        **error_responses(413, 415, 429),
    },
)
async def create_chat_completion(
    data: JSONBody[ChatRequest], request: Request[Any, Any, Any], running: NamedDependency[Running]
) -> Response[ChatCompletion] | Stream:
    """Answer a conversation, steered."""
    options = stream_options(data.stream_options, stream=data.stream)
    check_insight(request, data)
    model, work = await asyncio.to_thread(_prepare, data, running)
    await work.admit(running.moderator, [*texts_of(data.messages), *texts_of_tools(data.tools)])
    account_of(request).begin(work)
    identity = Identity.new("chatcmpl", model, running.served.fingerprint)
    chunks = ChatChunks(identity, running, with_logprobs=data.logprobs, with_tools=bool(data.tools))
    if data.stream:
        return await stream(request, work, chunks, options)
    return Response(await until_disconnect(request, _complete(work, chunks)))


def _prepare(data: ChatRequest, running: Running) -> tuple[str, Work]:
    served = running.served
    if data.top_logprobs is not None and not data.logprobs:
        message = "`top_logprobs` needs `logprobs` to be true."
        raise RequestError(message, param="top_logprobs", code="invalid_value")
    model = choose_model(data.model, served, running.variants)
    make_mask = json_masks(data.response_format, served.tokenizer, served.stop_token_ids)
    offered = calling(data, served)
    made = plan(
        data,
        conversation(data.messages, served, running.config, calling=offered),
        intended(data, model, running),
        served,
        running.config,
        max_tokens=data.max_completion_tokens or data.max_tokens,
        n=data.n,
        logprobs=data.top_logprobs or 0 if data.logprobs else None,
        watch=data.activations and data.activations.top_k,
        probes=running.moderator.signals.probes,
        make_mask=offered.make_mask if offered else make_mask,
        calling=offered,
    )
    explanation = data.attribution and Explanation.of(
        data.attribution,
        served,
        num_prompt_tokens=len(made.prompt),
        max_tokens=made.max_tokens,
        limit=running.config.max_attribution_tokens,
    )
    return model.name, Work.of([made], served, [explanation], data.activations)


async def _complete(work: Work, chunks: "ChatChunks") -> ChatCompletion:
    pieces = await work.whole()
    choices = []
    for index, (piece, answer) in enumerate(zip(pieces, work.answers, strict=True)):
        assert answer.finish_reason is not None
        choices.append(
            Choice(
                index=index,
                message=_message(piece),
                finish_reason=answer.finish_reason,
                logprobs=chunks.logprobs(piece),
            )
        )
    of = chunks.identity
    return ChatCompletion(
        id=of.id,
        object="chat.completion",
        created=of.created,
        model=of.model,
        choices=choices,
        usage=work.usage(),
        system_fingerprint=of.fingerprint,
        steering=work.steering(),
        moderation=work.moderation(),
        attribution=await work.attribution(),
        activations=await work.activations(list(enumerate(pieces))),
    )


def _message(piece: Piece) -> AnswerMessage:
    """A whole answer; there is no content where there is nothing but calls."""
    calls = whole_calls(piece.calls) or None
    content = piece.text or (None if calls else "")
    return AnswerMessage(role="assistant", content=content, refusal=None, tool_calls=calls)


@dataclass(frozen=True, slots=True)
class ChatChunks:
    """Makes the events of a streamed chat."""

    identity: Identity
    running: Running
    with_logprobs: bool
    with_tools: bool = False
    """Whether there may be no content."""

    def begin(self, index: int) -> ChatCompletionChunk:
        """Whose words follow."""
        return self._choice(index, Delta(role="assistant", content=None if self.with_tools else ""))

    def piece(
        self, index: int, piece: Piece, usage: Usage | None, activations: list[ChoiceActivations] | None
    ) -> ChatCompletionChunk:
        """Some text, or a part of a call."""
        content = piece.text if piece.text or not self.with_tools else None
        delta = Delta(content=content, tool_calls=piece.calls or None)
        return self._choice(index, delta, piece, usage=usage, activations=activations)

    def finish(
        self,
        index: int,
        reason: Any,
        usage: Usage | None,
        steering: SteeringReceipt | None,
        moderation: Moderation | None,
    ) -> ChatCompletionChunk:
        """The end of a choice; of the last one to end with what was done to all."""
        return self._choice(
            index, Delta(), reason=reason, usage=usage, steering=steering, moderation=moderation
        )

    def attribution(self, found: list[ChoiceAttribution]) -> ChatCompletionChunk:
        """Why the answers are what they are."""
        return self._chunk(attribution=found)

    def usage(self, usage: Usage) -> ChatCompletionChunk:
        """Token counts."""
        return self._chunk(usage=usage)

    def logprobs(self, piece: Piece | None) -> Any:
        """Those of a piece, if they were asked for."""
        if not self.with_logprobs or piece is None:
            return None
        return chat_logprobs(piece.logprobs, self.running.served.texts)

    def _choice(
        self, index: int, delta: Delta, piece: Piece | None = None, *, reason: Any = None, **rest: Any
    ) -> ChatCompletionChunk:
        choice = ChunkChoice(index=index, delta=delta, finish_reason=reason, logprobs=self.logprobs(piece))
        return self._chunk([choice], **rest)

    def _chunk(
        self, choices: list[ChunkChoice] | None = None, *, usage: Usage | None = None, **results: Any
    ) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self.identity.id,
            object="chat.completion.chunk",
            created=self.identity.created,
            model=self.identity.model,
            choices=choices or [],
            usage=usage,
            system_fingerprint=self.identity.fingerprint,
            **results,
        )
