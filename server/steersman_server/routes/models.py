"""`/v1/models`: what is served."""

import asyncio

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from steersman.types import Model, ModelList
from steersman_server.errors import error_responses
from steersman_server.plans.models import choose_model
from steersman_server.running import Running
from steersman_server.served import ServedModel


@get(["/v1/models", "/models"], tags=["models"], responses=error_responses())
async def list_models(running: NamedDependency[Running]) -> ModelList:
    """The model this server answers for, and its variants."""
    served = running.served
    variants = await asyncio.to_thread(running.variants.all)
    usable = [variant for variant in variants if variant.bundle == served.bundle]
    return ModelList(
        object="list",
        data=[_model(served, served.name), *(_model(served, variant.id) for variant in usable)],
    )


@get(["/v1/models/{model:path}", "/models/{model:path}"], tags=["models"], responses=error_responses())
async def get_model(model: FromPath[str], running: NamedDependency[Running]) -> Model:
    """One model; its id may hold slashes."""
    name = model.removeprefix("/")
    chosen = await asyncio.to_thread(choose_model, name, running.served, running.variants)
    return _model(running.served, chosen.name)


def _model(served: ServedModel, name: str) -> Model:
    return Model(
        id=name,
        object="model",
        created=served.created,
        owned_by="steersman",
        bundle=served.bundle,
        layer=served.layer,
        d_sae=served.d_sae,
        max_model_len=served.engine.info.max_positions,
        root=served.name,
        parent=None if name == served.name else served.name,
    )
