"""`POST /v1/features/inspect` and `/attribute`: what fires on a conversation, and why it goes as it does."""

import asyncio
from functools import partial
from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from steersman.types import AttributeRequest, AttributionResult, Inspection, InspectRequest
from steersman_engine import engine
from steersman_server.account import account_of
from steersman_server.answers.explanation import Explanation
from steersman_server.answers.inspecting import inspection_of
from steersman_server.disconnect import until_disconnect
from steersman_server.errors import RequestError, error_responses
from steersman_server.moderation.moderator import texts_of
from steersman_server.plans.models import choose_model
from steersman_server.plans.prompts import conversation
from steersman_server.plans.steering import Steering, check_effect, resolve
from steersman_server.requests.body import json_body
from steersman_server.requests.validation import check_length
from steersman_server.running import Running


def steering_of(data: Any, running: Running) -> tuple[str, Steering]:
    """The name of the model, and its edits with the request's own. Reads the catalogue: it blocks.

    Raises:
        RequestError: There is no such model, or an edit cannot be made.
    """
    model = choose_model(data.model, running.served, running.variants)
    steering = resolve(
        model.edits(data.feature_edits),
        (),
        running.served,
        running.config,
        num_inherited=len(model.feature_edits),
    )
    return model.name, steering


@post(
    "/v1/features/inspect",
    status_code=200,
    dto=json_body(InspectRequest),
    return_dto=None,
    tags=["features"],
    responses=error_responses(413, 415, 429),
)
async def inspect(
    data: JSONBody[InspectRequest], request: Request[Any, Any, Any], running: NamedDependency[Running]
) -> Response[Inspection]:
    """The features that fire on a conversation: token by token, and over all of it; under edits, if given."""
    name, asked = await asyncio.to_thread(_prepare_inspect, data, running)
    await running.moderator.admit(texts_of(data.messages))
    account_of(request).read(len(asked.prompt))
    with account_of(request).timing("inspection"):
        found = await until_disconnect(request, running.served.engine.inspect(asked))
    return Response(await inspection_of(data, name, asked.prompt, found, running.served))


def _prepare_inspect(data: InspectRequest, running: Running) -> tuple[str, engine.InspectRequest]:
    check_length(data.features or (), running.config.max_inspect_features, "features")
    name, steering = steering_of(data, running)
    prompt = conversation(data.messages, running.served, running.config, generate=data.add_generation_prompt)
    check_effect(steering, prompt, 0)
    running.served.catalog.features(data.features or ())  # names an unknown one
    return name, engine.InspectRequest(prompt=prompt, edits=steering.affine, features=data.features)


@post(
    "/v1/features/attribute",
    status_code=200,
    dto=json_body(AttributeRequest),
    return_dto=None,
    tags=["features"],
    responses=error_responses(413, 415, 429),
)
async def attribute(
    data: JSONBody[AttributeRequest], request: Request[Any, Any, Any], running: NamedDependency[Running]
) -> Response[AttributionResult]:
    """Why a given answer, or a given next token: what would push it (`gradient`), or what the model used."""
    name, num_tokens, explain = await asyncio.to_thread(_prepare_attribute, data, running)
    await running.moderator.admit(texts_of(data.messages))
    account_of(request).read(num_tokens)
    with account_of(request).timing("attribution"):
        attribution = await until_disconnect(request, explain())
    return Response(AttributionResult(object="attribution", model=name, attribution=attribution))


def _prepare_attribute(data: AttributeRequest, running: Running) -> Any:
    served = running.served
    name, steering = steering_of(data, running)
    *before, last = data.messages
    answered = last.role == "assistant"
    if answered and not before:
        message = "An answer needs a message that it answers."
        raise RequestError(message, param="messages", code="invalid_value")
    prompt = conversation(before if answered else data.messages, served, running.config)
    answer = tuple(served.tokenizer.encode(last.text, add_special_tokens=False)) if answered else ()
    if answered and not answer:
        message = "The assistant's message is empty: there is no token to explain."
        raise RequestError(message, param=f"messages[{len(before)}].content", code="empty_string")
    check_effect(steering, prompt, len(answer))
    explanation = Explanation.of(
        data,
        served,
        num_prompt_tokens=len(prompt),
        max_tokens=max(len(answer), 1),
        limit=running.config.max_attribution_tokens,
        under="",
    )
    if not answered and explanation.given is None:
        message = "The last message is not the assistant's, so `target.given` must name the token to explain."
        raise RequestError(message, param="target.given", code="missing_required_parameter")
    explain = partial(explanation.explain, 0, prompt, answer, steering.affine, served)
    return name, len(prompt) + len(answer), explain
