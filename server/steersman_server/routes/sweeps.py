"""`POST /v1/sweeps`: one prompt under many sets of edits, side by side."""

import asyncio
from typing import Any

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import JSONBody

from steersman.types import AnswerMessage, Sweep, SweepRequest, SweepRow, Usage
from steersman_engine.prompt import ROLES, Kind, Prompt
from steersman_server.account import account_of
from steersman_server.answers.answer import Answer
from steersman_server.answers.likelihoods import finite
from steersman_server.answers.receipt import receipt
from steersman_server.answers.work import Work
from steersman_server.disconnect import until_disconnect
from steersman_server.errors import RequestError, error_responses
from steersman_server.moderation.moderator import texts_of
from steersman_server.plans.models import choose_model
from steersman_server.plans.plan import plan
from steersman_server.plans.prompts import conversation
from steersman_server.plans.steering import resolve
from steersman_server.requests.body import json_body
from steersman_server.routes.answering import Identity
from steersman_server.running import Running
from steersman_server.served import ServedModel


@post(
    "/v1/sweeps",
    status_code=200,
    dto=json_body(SweepRequest),
    return_dto=None,
    tags=["chat"],
    responses=error_responses(413, 415, 429),
)
async def create_sweep(
    data: JSONBody[SweepRequest], request: Request[Any, Any, Any], running: NamedDependency[Running]
) -> Response[Sweep]:
    """Answer a conversation under each set of edits at once; the work on the prompt is shared."""
    model, work = await asyncio.to_thread(_prepare, data, running)
    await work.admit(running.moderator, texts_of(data.messages))
    account_of(request).begin(work)
    identity = Identity.new("sweep", model, running.served.fingerprint)
    return Response(await until_disconnect(request, _complete(data, work, identity)))


def _prepare(data: SweepRequest, running: Running) -> tuple[str, Work]:
    served = running.served
    model = choose_model(data.model, served, running.variants)
    prompt = conversation(data.messages, served, running.config)
    plans, seed = [], data.seed
    for index, row in enumerate(data.sweep):
        edits = (*model.edits(data.feature_edits), *row)
        try:
            steering = resolve(
                edits,
                model.aborts(data.abort_when),
                served,
                running.config,
                num_inherited=len(edits) - len(row),
            )
            made = plan(
                data,
                prompt,
                steering,
                served,
                running.config,
                max_tokens=data.max_completion_tokens or data.max_tokens,
                seed=seed,
                probes=running.moderator.signals.probes,
            )
        except RequestError as error:
            raise _in_row(error, index) from error
        plans.append(made)
        seed = made.seed
    return model.name, Work.of(plans, served, [None] * len(plans))


def _in_row(error: RequestError, index: int) -> RequestError:
    """The error, which names the row that it is in."""
    param = error.param
    if param is not None and param.startswith("feature_edits["):
        param = f"sweep[{index}]{param.removeprefix('feature_edits')}"
    message = str(error).replace("'feature_edits", f"'sweep[{index}]")
    return RequestError(message, param=param, code=error.code)


async def _complete(data: SweepRequest, work: Work, identity: Identity) -> Sweep:
    pieces = await work.whole()
    rows = []
    for index, (made, answer, piece) in enumerate(zip(work.plans, work.answers, pieces, strict=True)):
        assert answer.finish_reason is not None
        rows.append(
            SweepRow(
                index=index,
                message=AnswerMessage(role="assistant", content=piece.text, refusal=None),
                finish_reason=answer.finish_reason,
                completion_tokens=answer.num_tokens,
                plain_logprob=await _plain_logprob(answer, work.served) if data.score else None,
                steering=receipt(made, [answer], work.served),
            )
        )
    prompt, completion = len(work.plans[0].prompt), sum(row.completion_tokens for row in rows)
    return Sweep(
        id=identity.id,
        object="sweep",
        created=identity.created,
        model=identity.model,
        data=rows,
        usage=Usage(prompt, completion, prompt + completion),
        system_fingerprint=identity.fingerprint,
        moderation=work.moderation(),
    )


async def _plain_logprob(answer: Answer, served: ServedModel) -> float | None:
    """The mean log probability of an answer's tokens without edits; None of an empty answer."""
    made = answer.token_ids
    if not made:
        return None
    prompt = answer.request.prompt
    role = ROLES.index("assistant")
    whole = Prompt(
        (*prompt.token_ids, *made),
        (*prompt.roles, *[role] * len(made)),
        (*prompt.kinds, *[Kind.CONTENT] * len(made)),
    )
    scores = await served.engine.score(whole, (), 0)
    return finite(sum(score.logprob for score in scores[-len(made) :]) / len(made))
