"""`POST /v1/completions`: continue a text, or score one."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import JSONBody
from litestar.response import Stream

from steersman.types import (
    ChoiceActivations,
    ChoiceAttribution,
    Completion,
    CompletionChoice,
    CompletionLogprobs,
    CompletionRequest,
    Moderation,
    SteeringReceipt,
    Usage,
)
from steersman_engine.engine import TokenLogprobs
from steersman_engine.prompt import Prompt
from steersman_server.account import account_of
from steersman_server.answers.answer import Piece
from steersman_server.answers.detokenizer import decode
from steersman_server.answers.explanation import Explanation
from steersman_server.answers.likelihoods import completion_logprobs
from steersman_server.answers.work import Work
from steersman_server.config import ServerConfig
from steersman_server.disconnect import until_disconnect
from steersman_server.errors import RequestError, error_responses
from steersman_server.moderation.moderator import Text
from steersman_server.plans.intent import intended
from steersman_server.plans.models import choose_model
from steersman_server.plans.plan import Plan, plan
from steersman_server.plans.prompts import raw
from steersman_server.requests.body import json_body
from steersman_server.requests.fields import COMPLETION_FIELDS
from steersman_server.routes.answering import Identity, check_insight, stream, stream_options
from steersman_server.running import Running
from steersman_server.served import ServedModel


@post(
    ["/v1/completions", "/completions"],
    status_code=200,
    dto=json_body(CompletionRequest, COMPLETION_FIELDS),
    return_dto=None,
    tags=["chat"],
    responses={
        200: ResponseSpec(Completion, description="The continuations.", generate_examples=False),
        **error_responses(413, 415, 429),
    },
)
async def create_completion(
    data: JSONBody[CompletionRequest], request: Request[Any, Any, Any], running: NamedDependency[Running]
) -> Response[Completion] | Stream:
    """Continue texts, steered. With `echo` and `logprobs` it scores them, which evaluation tools need."""
    options = stream_options(data.stream_options, stream=data.stream)
    check_insight(request, data)
    model, work = await asyncio.to_thread(_prepare, data, running)
    await work.admit(running.moderator, _texts(data, work))
    account_of(request).begin(work)
    identity = Identity.new("cmpl", model, running.served.fingerprint)
    echoes = await until_disconnect(request, _echoes(data, work)) if data.echo else []
    chunks = CompletionChunks(identity, running.served, data.logprobs is not None, echoes)
    if data.stream:
        return await stream(request, work, chunks, options)
    return Response(await until_disconnect(request, _complete(work, chunks)))


def _prepare(data: CompletionRequest, running: Running) -> tuple[str, Work]:
    served = running.served
    if data.max_tokens == 0 and not data.echo:
        message = "`max_tokens` is 0, which leaves nothing to do without `echo`."
        raise RequestError(message, param="max_tokens", code="integer_below_min_value")
    model = choose_model(data.model, served, running.variants)
    steering = intended(data, model, running)
    plans = [
        plan(
            data,
            prompt,
            steering,
            served,
            running.config,
            max_tokens=data.max_tokens,
            n=data.n,
            logprobs=data.logprobs,
            watch=data.activations and data.activations.top_k,
            probes=running.moderator.signals.probes,
        )
        for prompt in _prompts(data, served, running.config)
    ]
    explanations = [data.attribution and _explanation(data, made, running) for made in plans]
    return model.name, Work.of(plans, served, explanations, data.activations)


def _texts(data: CompletionRequest, work: Work) -> list[Text]:
    """What moderation looks at; of token ids, what they say."""
    listed = isinstance(data.prompt, tuple | list) and not isinstance(data.prompt[0], int)
    given = data.prompt if listed else [data.prompt]
    texts = []
    for index, (one, made) in enumerate(zip(given, work.plans, strict=True)):
        text = one if isinstance(one, str) else decode(work.served.tokenizer, list(made.prompt.token_ids))
        texts.append(Text(f"prompt[{index}]" if listed else "prompt", text))
    return texts


def _prompts(data: CompletionRequest, served: ServedModel, config: ServerConfig) -> list[Prompt]:
    """The prompts that the four forms of `prompt` stand for."""
    given = data.prompt
    if isinstance(given, str):
        return [raw(given, served, config, "prompt")]
    if all(isinstance(item, int) for item in given):
        return [raw([item for item in given if isinstance(item, int)], served, config, "prompt")]
    if any(isinstance(item, int) for item in given):
        message = "Invalid 'prompt': a list holds texts and lists of token ids, or token ids alone."
        raise RequestError(message, param="prompt", code="invalid_type")
    return [
        raw(item, served, config, f"prompt[{index}]")
        for index, item in enumerate(given)
        if not isinstance(item, int)
    ]


def _explanation(data: CompletionRequest, made: Plan, running: Running) -> Explanation:
    assert data.attribution is not None
    return Explanation.of(
        data.attribution,
        running.served,
        num_prompt_tokens=len(made.prompt),
        max_tokens=made.max_tokens,
        limit=running.config.max_attribution_tokens,
    )


@dataclass(frozen=True, slots=True)
class Echo:
    """A prompt, given back."""

    text: str
    tokens: Sequence[TokenLogprobs | int]


async def _echoes(data: CompletionRequest, work: Work) -> list[Echo]:
    """The prompt of each answer."""
    made = []
    for each in work.plans:
        ids = list(each.prompt.token_ids)
        scores: Sequence[TokenLogprobs] = []
        if data.logprobs is not None and len(ids) > 1:
            scores = await work.served.engine.score(each.prompt, each.steering.affine, data.logprobs)
        text = work.served.tokenizer.decode(ids, skip_special_tokens=True)
        assert isinstance(text, str)
        made += [Echo(text, [ids[0], *scores])] * len(each.requests)
    return made


async def _complete(work: Work, chunks: "CompletionChunks") -> Completion:
    pieces = await work.whole()
    choices = []
    for index, (piece, answer) in enumerate(zip(pieces, work.answers, strict=True)):
        choices.append(chunks.choice(index, piece, echoed=True, reason=answer.finish_reason))
    return chunks.completion(
        choices,
        usage=work.usage(),
        steering=work.steering(),
        moderation=work.moderation(),
        attribution=await work.attribution(),
        activations=await work.activations(list(enumerate(pieces))),
    )


@dataclass(frozen=True, slots=True)
class CompletionChunks:
    """Makes completions, whole or in pieces."""

    identity: Identity
    served: ServedModel
    with_logprobs: bool
    echoes: Sequence[Echo]
    _lengths: dict[int, int] = field(default_factory=dict)
    """Characters given out, by choice."""

    def begin(self, index: int) -> Completion | None:
        """The prompt, if it was asked for."""
        return self.completion([self.choice(index, Piece(), echoed=True)]) if self.echoes else None

    def piece(
        self, index: int, piece: Piece, usage: Usage | None, activations: list[ChoiceActivations] | None
    ) -> Completion:
        """Some text."""
        return self.completion([self.choice(index, piece)], usage=usage, activations=activations)

    def finish(
        self,
        index: int,
        reason: Any,
        usage: Usage | None,
        steering: SteeringReceipt | None,
        moderation: Moderation | None,
    ) -> Completion:
        """The end of a choice; of the last one to end with what was done to all."""
        choice = self.choice(index, Piece(), reason=reason)
        return self.completion([choice], usage=usage, steering=steering, moderation=moderation)

    def attribution(self, found: list[ChoiceAttribution]) -> Completion:
        """Why the answers are what they are."""
        return self.completion([], attribution=found)

    def usage(self, usage: Usage) -> Completion:
        """Token counts."""
        return self.completion([], usage=usage)

    def choice(
        self, index: int, piece: Piece, *, echoed: bool = False, reason: Any = None
    ) -> CompletionChoice:
        """A part of a choice, after the prompt if it is `echoed`."""
        echo = self.echoes[index] if echoed and self.echoes else Echo("", [])
        text, logprobs = echo.text + piece.text, self._logprobs(index, [*echo.tokens, *piece.logprobs])
        self._lengths[index] = self._lengths.get(index, 0) + len(text)
        return CompletionChoice(index=index, text=text, logprobs=logprobs, finish_reason=reason)

    def completion(
        self, choices: list[CompletionChoice], *, usage: Usage | None = None, **results: Any
    ) -> Completion:
        """Choices, and what belongs to all of them."""
        return Completion(
            id=self.identity.id,
            object="text_completion",
            created=self.identity.created,
            model=self.identity.model,
            choices=choices,
            usage=usage,
            system_fingerprint=self.identity.fingerprint,
            **results,
        )

    def _logprobs(self, index: int, tokens: Sequence[TokenLogprobs | int]) -> CompletionLogprobs | None:
        if not self.with_logprobs or not tokens:
            return None
        return completion_logprobs(tokens, self.served.texts, self._lengths.get(index, 0))
