"""`/v1/features`: what can be seen and steered."""

import asyncio
from typing import Annotated, Any

import msgspec
import numpy as np
from litestar import Request, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody, QueryParameter

from steersman.types import (
    Feature,
    FeatureDashboard,
    FeatureGroup,
    FeatureLookup,
    FeatureMap,
    FeaturePage,
    MapPoint,
    NeighborsRequest,
    RerankRequest,
    SearchMode,
    Space,
)
from steersman_catalog import KINDS, Catalog, FeatureFilter, NoEmbeddingsError
from steersman_server.errors import RequestError, error_responses
from steersman_server.requests.body import json_body
from steersman_server.requests.query import check_names, one_of
from steersman_server.running import Running
from steersman_server.served import ServedModel

SORTS = ("index", "density", "-density", "h_max", "-h_max", "rating", "-rating")
MODES: tuple[SearchMode, ...] = ("semantic", "keyword", "hybrid")
SPACES: tuple[Space, ...] = ("decoder", "label", "coactivation")
LISTED = (
    *("query", "mode", "sort", "min_rating", "min_density", "max_density", "trusted"),
    *("kind", "flag", "without_flag", "hidden", "limit", "after"),
)

Share = Annotated[float, QueryParameter(ge=0, le=1)]


@get("/v1/features", tags=["features"], responses=error_responses())
async def list_features(
    request: Request[Any, Any, Any],
    running: NamedDependency[Running],
    words: Annotated[
        str | None, QueryParameter(name="query", description="What to search for; the best match is first.")
    ] = None,
    mode: Annotated[
        str | None,
        QueryParameter(description="`semantic`, `keyword` or `hybrid`; by default `hybrid` where it can."),
    ] = None,
    sort: Annotated[
        str | None, QueryParameter(description=f"Without a query: one of {', '.join(SORTS)}.")
    ] = None,
    min_rating: Annotated[
        float | None, QueryParameter(description="Only labels that stood the tests at least so well.")
    ] = None,
    min_density: Share = 0.0,
    max_density: Share = 1.0,
    trusted: Annotated[bool | None, QueryParameter(description="Only labels that are above chance.")] = None,
    kind: Annotated[
        str | None, QueryParameter(description=f"What the label is about: {', '.join(KINDS)}.")
    ] = None,
    flag: Annotated[str | None, QueryParameter(description="Only features that have this flag.")] = None,
    without_flag: Annotated[
        str | None, QueryParameter(description="Only features that do not have this flag.")
    ] = None,
    hidden: Annotated[bool, QueryParameter(description="Also those that moderation hides.")] = False,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 20,
    after: Annotated[
        int | None, QueryParameter(description="`last_id` of the page before, for the same question.")
    ] = None,
) -> FeaturePage:
    """Search the features by meaning and words, or list them all."""
    check_names(request, LISTED)
    if hidden and not running.served.sees_hidden:
        message = "Moderation hides these features; a key that is not `moderated` may see them."
        raise RequestError(message, param="hidden", code="features_hidden")
    flags = running.served.catalog.flags
    of_kind = one_of(kind, KINDS, "kind")
    has, lacks = one_of(flag, flags, "flag"), one_of(without_flag, flags, "without_flag")
    where = FeatureFilter(
        min_density=min_density,
        max_density=max_density,
        min_rating=min_rating,
        trusted=trusted,
        kinds=None if of_kind is None else (of_kind,),
        flags=() if has is None else (has,),
        without_flags=() if lacks is None else (lacks,),
        hidden=hidden or running.served.sees_hidden,
    )
    searched_by = one_of(mode, MODES, "mode")
    order = one_of(sort, SORTS, "sort")
    if words is None and searched_by is not None:
        message = "`mode` is how to search: send a `query`, or leave it out."
        raise RequestError(message, param="mode", code="invalid_value")
    if words is not None and order is not None:
        message = "A search is ordered by its matches: leave `sort` out."
        raise RequestError(message, param="sort", code="invalid_value")

    def find() -> tuple[list[Feature], bool]:
        catalog = running.served.catalog
        if words is not None:
            return search(catalog, words, searched_by, limit=limit, after=after, where=where)
        by: Any = (order or "index").removeprefix("-")
        return catalog.list(
            limit=limit, after=after, where=where, sort=by, descending=(order or "").startswith("-")
        )

    try:
        features, has_more = await asyncio.to_thread(find)
    except ValueError as error:
        if isinstance(error, RequestError):
            raise
        raise RequestError(str(error), code="invalid_value") from error
    return FeaturePage(
        object="list",
        data=features,
        has_more=has_more,
        first_id=str(features[0].index) if features else None,
        last_id=str(features[-1].index) if features else None,
    )


@get("/v1/features/{index:int}", tags=["features"], responses=error_responses())
async def get_feature(index: FromPath[int], running: NamedDependency[Running]) -> Feature:
    """One feature, with examples of where it fires."""
    served = running.served
    return await asyncio.to_thread(served.catalog.feature, index, hidden=served.sees_hidden)


@get("/v1/features/{index:int}/dashboard", tags=["features"], responses=error_responses())
async def get_dashboard(index: FromPath[int], running: NamedDependency[Running]) -> FeatureDashboard:
    """All that is known of a feature: statistics, examples, effects, labels, their tests, relations."""
    served = running.served
    return await asyncio.to_thread(served.catalog.dashboard, index, hidden=served.sees_hidden)


@get("/v1/features/{index:int}/neighbors", tags=["features"], responses=error_responses())
async def get_neighbors(
    request: Request[Any, Any, Any],
    index: FromPath[int],
    running: NamedDependency[Running],
    space: Annotated[
        str | None, QueryParameter(description="`decoder` (by default), `label` or `coactivation`.")
    ] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=100)] = 10,
) -> FeatureGroup:
    """The features nearest to one, with their similarity as `score`."""
    check_names(request, ("space", "limit"))
    asked = one_of(space, SPACES, "space") or "decoder"
    return await asyncio.to_thread(_neighbors, running.served, (index,), asked, limit)


@get("/v1/features/{index:int}/echoes", tags=["features"], responses=error_responses())
async def get_echoes(index: FromPath[int], running: NamedDependency[Running]) -> FeatureGroup:
    """The features that say the same as one: to suppress what it stands for, edit all of them."""
    served = running.served
    found = await asyncio.to_thread(served.catalog.echoes, index, hidden=served.sees_hidden)
    return FeatureGroup(object="list", data=found)


@get("/v1/features/map", tags=["features"], responses=error_responses())
async def get_map(running: NamedDependency[Running]) -> FeatureMap:
    """Where each feature lies in a picture of all; empty where the catalogue holds none."""

    def points() -> list[MapPoint]:
        catalog = running.served.catalog
        places, shown = catalog.map(), running.served.sees_hidden
        placed = np.flatnonzero(~np.isnan(places[:, 0])).tolist()
        return [
            MapPoint(index=f.index, label=f.label, x=float(x), y=float(y), rating=f.rating)
            for f, (x, y) in zip(catalog.features(placed, hidden=shown), places[placed], strict=True)
            if shown or not f.hidden
        ]

    return FeatureMap(object="map", data=await asyncio.to_thread(points))


@post(
    "/v1/features/lookup",
    status_code=200,
    dto=json_body(FeatureLookup),
    return_dto=None,
    tags=["features"],
    responses=error_responses(413, 415),
)
async def lookup(data: JSONBody[FeatureLookup], running: NamedDependency[Running]) -> FeatureGroup:
    """Several features by index, in the order given."""
    served = running.served
    found = await asyncio.to_thread(served.catalog.features, data.features, hidden=served.sees_hidden)
    return FeatureGroup(object="list", data=found)


@post(
    "/v1/features/neighbors",
    status_code=200,
    dto=json_body(NeighborsRequest),
    return_dto=None,
    tags=["features"],
    responses=error_responses(413, 415),
)
async def neighbors(data: JSONBody[NeighborsRequest], running: NamedDependency[Running]) -> FeatureGroup:
    """The features nearest to the middle of several, with their similarity as `score`."""
    return await asyncio.to_thread(_neighbors, running.served, data.features, data.space, data.top_k)


@post(
    "/v1/features/rerank",
    status_code=200,
    dto=json_body(RerankRequest),
    return_dto=None,
    tags=["features"],
    responses=error_responses(413, 415),
)
async def rerank(data: JSONBody[RerankRequest], running: NamedDependency[Running]) -> FeatureGroup:
    """Some features by how well they fit words, best first; `score` is 0 for those that do not at all."""

    def find() -> list[Feature]:
        catalog, hidden = running.served.catalog, running.served.sees_hidden
        asked = list(dict.fromkeys(data.features))
        given = {feature.index: feature for feature in catalog.features(asked, hidden=hidden)}
        try:
            where = FeatureFilter(hidden=hidden)
            found, _ = search(catalog, data.query, data.mode, limit=len(catalog), where=where)
        except ValueError as error:
            if isinstance(error, RequestError):
                raise
            raise RequestError(str(error), param="query", code="invalid_value") from error
        fitting = [feature for feature in found if feature.index in given]
        matched = {feature.index for feature in fitting}
        rest = [msgspec.structs.replace(given[i], score=0.0) for i in asked if i not in matched]
        return (fitting + rest)[: data.top_k]

    return FeatureGroup(object="list", data=await asyncio.to_thread(find))


def search(
    catalog: Catalog, words: str, mode: SearchMode | None, **options: Any
) -> tuple[list[Feature], bool]:
    """A page of what fits; without a mode by meaning and words where the catalogue can, else by words.

    Raises:
        RequestError: The mode needs embeddings, and there are none.
        ValueError: The query is empty, or the page does not exist.
    """
    try:
        return catalog.search(words, mode=mode or "hybrid", **options)
    except NoEmbeddingsError as error:
        if mode is not None:
            raise RequestError(str(error), param="mode", code="unsupported_value") from error
    return catalog.search(words, mode="keyword", **options)


def _neighbors(served: ServedModel, indices: tuple[int, ...], space: Space, limit: int) -> FeatureGroup:
    try:
        near = served.catalog.neighbors(
            indices[0] if len(indices) == 1 else indices, space=space, limit=limit, hidden=served.sees_hidden
        )
    except NoEmbeddingsError as error:
        raise RequestError(str(error), param="space", code="unsupported_value") from error
    found = [msgspec.structs.replace(each.feature, score=each.similarity) for each in near]
    return FeatureGroup(object="list", data=found)
