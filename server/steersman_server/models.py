"""`/v1/models` and `/health`: what is served, and that it is."""

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

import steersman
from steersman.types import Health, Model, ModelList
from steersman_server.errors import ERROR_RESPONSES
from steersman_server.plan import check_model
from steersman_server.served import ServedModel


@get("/v1/models", tags=["models"], responses=ERROR_RESPONSES)
async def list_models(served: NamedDependency[ServedModel]) -> ModelList:
    """The models this server answers for."""
    return ModelList(object="list", data=[_model(served)])


@get("/v1/models/{model:path}", tags=["models"], responses=ERROR_RESPONSES)
async def get_model(model: FromPath[str], served: NamedDependency[ServedModel]) -> Model:
    """One model; its id may hold slashes."""
    check_model(model.removeprefix("/"), served)
    return _model(served)


@get("/health", tags=["server"], responses=ERROR_RESPONSES)
async def health(served: NamedDependency[ServedModel]) -> Health:
    """The server is up."""
    return Health(status="ok", version=steersman.__version__, model=served.name, bundle=served.bundle)


def _model(served: ServedModel) -> Model:
    return Model(
        id=served.name,
        object="model",
        created=served.created,
        owned_by="steersman",
        bundle=served.bundle,
        layer=served.layer,
        d_sae=served.d_sae,
        max_model_len=served.engine.info.max_positions,
    )
