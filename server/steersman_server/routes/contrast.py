"""`POST /v1/features/contrast`: which features tell two sets of conversations apart."""

import asyncio
from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from steersman.types import Contrast, ContrastedFeature, ContrastRequest
from steersman_engine.engine import InspectRequest
from steersman_engine.prompt import ROLES, Kind
from steersman_server.account import account_of
from steersman_server.answers.separation import Pooled, Separation, pool, separate
from steersman_server.disconnect import until_disconnect
from steersman_server.errors import RequestError, error_responses
from steersman_server.moderation.moderator import texts_of
from steersman_server.plans.models import choose_model
from steersman_server.plans.prompts import conversation
from steersman_server.plans.steering import check_effect, resolve
from steersman_server.requests.body import json_body
from steersman_server.running import Running


@post(
    "/v1/features/contrast",
    status_code=200,
    dto=json_body(ContrastRequest),
    return_dto=None,
    tags=["features"],
    responses=error_responses(413, 415, 429),
)
async def contrast(
    data: JSONBody[ContrastRequest], request: Request[Any, Any, Any], running: NamedDependency[Running]
) -> Response[Contrast]:
    """The features that are higher in one set of conversations than in the other, and how well they tell."""
    name, positive, negative = await asyncio.to_thread(_prepare, data, running)
    sides = {"positive": data.positive, "negative": data.negative}
    await running.moderator.admit(
        [
            text
            for side, chats in sides.items()
            for index, messages in enumerate(chats)
            for text in texts_of(messages, f"{side}[{index}]")
        ]
    )
    account_of(request).read(sum(len(asked.prompt) for asked in (*positive, *negative)))
    return Response(await until_disconnect(request, _contrast(data, name, positive, negative, running)))


def _prepare(
    data: ContrastRequest, running: Running
) -> tuple[str, list[InspectRequest], list[InspectRequest]]:
    served, config = running.served, running.config
    model = choose_model(data.model, served, running.variants)
    sides = []
    for side in ("positive", "negative"):
        edits = model.edits(getattr(data, f"{side}_edits"))
        steering = resolve(edits, (), served, config, num_inherited=len(model.feature_edits))
        asked = []
        for index, messages in enumerate(getattr(data, side)):
            prompt = conversation(messages, served, config, generate=False, param=f"{side}[{index}]")
            check_effect(steering, prompt, 0)
            asked.append(InspectRequest(prompt=prompt, edits=steering.affine))
        sides.append(asked)
    return model.name, sides[0], sides[1]


async def _contrast(
    data: ContrastRequest,
    name: str,
    positive: list[InspectRequest],
    negative: list[InspectRequest],
    running: Running,
) -> Contrast:
    sides = []
    for side, asked in (("positive", positive), ("negative", negative)):
        pooled = [await _read(each, data, running, f"{side}[{i}]") for i, each in enumerate(asked)]
        sides.append(pooled)
    h_max = await asyncio.to_thread(running.served.catalog.h_max)
    up, down = await asyncio.to_thread(separate, sides[0], sides[1], h_max, data.top_k)
    known = await running.served.named(found.feature for found in up + down)

    def listed(found: list[Separation]) -> list[ContrastedFeature]:
        return [
            ContrastedFeature(
                feature=each.feature,
                label=known[each.feature].label,
                h_max=known[each.feature].h_max,
                score=each.score,
                positive_mean=each.positive_mean,
                negative_mean=each.negative_mean,
                auc=each.auc,
                held_out_auc=each.held_out_auc,
            )
            for each in found
        ]

    return Contrast(object="contrast", model=name, positive=listed(up), negative=listed(down))


async def _read(asked: InspectRequest, data: ContrastRequest, running: Running, param: str) -> Pooled:
    """One conversation's features, over what its messages say."""
    prompt = asked.prompt
    found = await running.served.engine.inspect(asked)
    tokens = [
        token
        for token in found
        if prompt.kinds[token.position] is Kind.CONTENT
        and not token.is_sink
        and (data.roles is None or ROLES[prompt.roles[token.position]] in data.roles)
    ]
    if not tokens:
        message = (
            f"'{param}' has no text to look at" + ("" if data.roles is None else " of these roles") + "."
        )
        raise RequestError(message, param=param, code="invalid_value")
    return pool(tokens, data.pooling)
