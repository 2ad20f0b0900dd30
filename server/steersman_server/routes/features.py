"""`/v1/features`: what can be seen and steered."""

from typing import Annotated, Any

from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from steersman.types import Feature, FeaturePage
from steersman_server.errors import RequestError, error_responses
from steersman_server.running import Running

PARAMETERS = ("query", "limit", "after")


@get("/v1/features", sync_to_thread=True, tags=["features"], responses=error_responses())
def list_features(
    request: Request[Any, Any, Any],
    running: NamedDependency[Running],
    words: Annotated[
        str | None, QueryParameter(name="query", description="Words to search for; the best match is first.")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    after: Annotated[
        int | None, QueryParameter(description="`last_id` of the page before, for the same query.")
    ] = None,
) -> FeaturePage:
    """Search the features, or list them all by index."""
    for name in request.query_params:
        if name not in PARAMETERS:
            message = f"Unknown parameter: '{name[:100]}'. There are: {', '.join(PARAMETERS)}."
            raise RequestError(message, param=name[:100], code="unknown_parameter")
    catalog = running.served.catalog
    try:
        if words is None:
            features, has_more = catalog.list(limit=limit, after=after)
        else:
            features, has_more = catalog.search(words, limit=limit, after=after)
    except ValueError as error:
        raise RequestError(str(error), code="invalid_value") from error
    return FeaturePage(
        object="list",
        data=features,
        has_more=has_more,
        first_id=str(features[0].index) if features else None,
        last_id=str(features[-1].index) if features else None,
    )


@get("/v1/features/{index:int}", sync_to_thread=True, tags=["features"], responses=error_responses())
def get_feature(index: FromPath[int], running: NamedDependency[Running]) -> Feature:
    """One feature, with examples of where it fires."""
    return running.served.catalog.feature(index)
