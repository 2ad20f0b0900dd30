"""`POST /v1/logits`: the distribution of the next token, under edits, and how they moved it."""

import asyncio
from collections.abc import Sequence
from typing import Any

import torch
from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from torch import Tensor

from steersman.types import LogitsRequest, NextToken, NextTokens
from steersman_engine.prompt import Prompt
from steersman_server.account import account_of
from steersman_server.answers.explanation import one_token
from steersman_server.answers.likelihoods import finite
from steersman_server.disconnect import until_disconnect
from steersman_server.errors import RequestError, error_responses
from steersman_server.moderation.moderator import texts_of
from steersman_server.plans.prompts import conversation
from steersman_server.plans.steering import Steering, check_effect
from steersman_server.requests.body import json_body
from steersman_server.routes.inspection import steering_of
from steersman_server.running import Running
from steersman_server.served import ServedModel


@post(
    "/v1/logits",
    status_code=200,
    dto=json_body(LogitsRequest),
    return_dto=None,
    tags=["chat"],
    responses=error_responses(413, 415, 429),
)
async def next_token_logits(
    data: JSONBody[LogitsRequest], request: Request[Any, Any, Any], running: NamedDependency[Running]
) -> Response[NextTokens]:
    """What would come next: logits and log probabilities, beside those of the plain model."""
    name, prompt, steering, asked = await asyncio.to_thread(_prepare, data, running)
    await running.moderator.admit(texts_of(data.messages))
    account_of(request).read(len(prompt))
    return Response(
        await until_disconnect(request, _answer(data, name, prompt, steering, asked, running.served))
    )


def _prepare(data: LogitsRequest, running: Running) -> tuple[str, Prompt, Steering, list[int] | None]:
    name, steering = steering_of(data, running)
    if data.sort_by == "difference" and not steering.edits:
        message = "There are no edits, so there is no difference to sort by."
        raise RequestError(message, param="sort_by", code="invalid_value")
    prompt = conversation(data.messages, running.served, running.config)
    check_effect(steering, prompt, 0)
    asked = None
    if data.tokens is not None:
        found = [one_token(text, running.served, f"tokens[{i}]") for i, text in enumerate(data.tokens)]
        asked = list(dict.fromkeys(found))
    return name, prompt, steering, asked


async def _answer(
    data: LogitsRequest,
    name: str,
    prompt: Prompt,
    steering: Steering,
    asked: Sequence[int] | None,
    served: ServedModel,
) -> NextTokens:
    steered = await served.engine.logits(prompt, steering.affine)
    plain = await served.engine.logits(prompt, ()) if steering.edits else None
    return await asyncio.to_thread(_compare, data, name, steered, plain, asked, served)


def _compare(
    data: LogitsRequest,
    name: str,
    logits: Tensor,
    plain: Tensor | None,
    asked: Sequence[int] | None,
    served: ServedModel,
) -> NextTokens:
    size = len(served.tokenizer)
    steered = torch.log_softmax(logits.double(), -1)
    before = None if plain is None else torch.log_softmax(plain.double(), -1)
    by = (steered - before).abs() if data.sort_by == "difference" and before is not None else steered
    if asked is None:
        ids = by[:size].topk(min(data.top_k, size)).indices.tolist()
    else:
        ids = sorted(asked, key=lambda token_id: -float(by[token_id]))
    chosen = steered.exp()
    return NextTokens(
        object="logits",
        model=name,
        data=[
            NextToken(
                token=served.texts.text(token_id),
                token_id=token_id,
                logit=finite(float(logits[token_id])),
                logprob=finite(float(steered[token_id])),
                plain_logprob=None if before is None else finite(float(before[token_id])),
                difference=None if before is None else finite(float(steered[token_id] - before[token_id])),
            )
            for token_id in ids
        ],
        entropy=float(-(chosen * steered).nansum()),
        kl_from_plain=None if before is None else float((chosen * (steered - before)).nansum()),
    )
