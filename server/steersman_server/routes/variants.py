"""`/v1/variants`: named sets of edits, which are used as `model: "base:name"`."""

import asyncio

from litestar import delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from steersman.types import Deleted, Variant, VariantImport, VariantList, VariantRequest
from steersman_server.errors import RequestError, error_responses
from steersman_server.plans.intent import own_steering
from steersman_server.plans.steering import resolve
from steersman_server.requests.body import json_body
from steersman_server.running import Running
from steersman_server.variants import VariantExistsError, now


@get("/v1/variants", tags=["variants"], responses=error_responses())
async def list_variants(running: NamedDependency[Running]) -> VariantList:
    """All variants, by name; it is also their export."""
    return VariantList(object="list", data=await asyncio.to_thread(running.variants.all))


@get("/v1/variants/{name:str}", tags=["variants"], responses=error_responses())
async def get_variant(name: FromPath[str], running: NamedDependency[Running]) -> Variant:
    """One variant."""
    return await asyncio.to_thread(_find, name, running)


@post(
    "/v1/variants",
    status_code=201,
    dto=json_body(VariantRequest),
    return_dto=None,
    tags=["variants"],
    responses=error_responses(409, 413, 415, 507),
)
async def create_variant(data: JSONBody[VariantRequest], running: NamedDependency[Running]) -> Variant:
    """Name a set of edits. When it is answered, it is on the disk."""
    if data.name is None:
        message = "Missing required parameter: 'name'."
        raise RequestError(message, param="name", code="missing_required_parameter")
    return await asyncio.to_thread(_keep, data.name, data, running, overwrite=False)


@put(
    "/v1/variants/{name:str}",
    dto=json_body(VariantRequest),
    return_dto=None,
    tags=["variants"],
    responses=error_responses(413, 415, 507),
)
async def replace_variant(
    name: FromPath[str], data: JSONBody[VariantRequest], running: NamedDependency[Running]
) -> Variant:
    """Give a variant other edits. It must be there; its name stays."""
    if data.name not in (None, name):
        message = f"The path names '{name[:100]}' and the body '{data.name}'; a variant keeps its name."
        raise RequestError(message, param="name", code="invalid_value")
    return await asyncio.to_thread(_keep, name, data, running, overwrite=True)


@delete("/v1/variants/{name:str}", status_code=200, tags=["variants"], responses=error_responses(507))
async def delete_variant(name: FromPath[str], running: NamedDependency[Running]) -> Deleted:
    """Forget a variant."""
    if not await asyncio.to_thread(running.variants.delete, name):
        raise _unknown(name)
    return Deleted(id=f"{running.served.name}:{name}", object="variant", deleted=True)


@post(
    "/v1/variants/import",
    status_code=200,
    dto=json_body(VariantImport),
    return_dto=None,
    tags=["variants"],
    responses=error_responses(409, 413, 415, 507),
)
async def import_variants(data: JSONBody[VariantImport], running: NamedDependency[Running]) -> VariantList:
    """Take variants that `GET /v1/variants` gave, here or elsewhere: all of them, or none."""
    return await asyncio.to_thread(_import, data, running)


def _keep(name: str, data: VariantRequest, running: Running, *, overwrite: bool) -> Variant:
    served = running.served
    created = _find(name, running).created if overwrite else now()
    edits, aborts = own_steering(data)
    if not edits and not aborts:
        message = "A variant without edits and conditions is the plain model: give it some."
        raise RequestError(message, param="feature_edits", code="empty_array")
    resolve(edits, aborts, served, running.config)
    variant = Variant(
        object="variant",
        id=f"{served.name}:{name}",
        name=name,
        base=served.name,
        bundle=served.bundle,
        description=data.description,
        feature_edits=edits,
        abort_when=aborts,
        created=created,
        updated=now(),
    )
    _add([variant], running, overwrite=overwrite)
    return variant


def _import(data: VariantImport, running: Running) -> VariantList:
    served = running.served
    for index, variant in enumerate(data.data):
        if (variant.base, variant.bundle) != (served.name, served.bundle):
            message = (
                f"The variant '{variant.name}' is made for {variant.base[:100]} with"
                f" {variant.bundle[:100]}; this server has {served.name} with {served.bundle}."
            )
            raise RequestError(message, param=f"data[{index}].bundle", code="invalid_value")
        if variant.id != f"{served.name}:{variant.name}":
            message = f"Invalid 'data[{index}].id': it is not the base and the name of '{variant.name}'."
            raise RequestError(message, param=f"data[{index}].id", code="invalid_value")
        resolve(variant.feature_edits, variant.abort_when, served, running.config)
    _add(data.data, running, overwrite=data.overwrite)
    return VariantList(object="list", data=list(data.data))


def _add(variants: list[Variant] | tuple[Variant, ...], running: Running, *, overwrite: bool) -> None:
    try:
        running.variants.add(variants, overwrite=overwrite)
    except VariantExistsError as error:
        raise RequestError(str(error), param="name", code="variant_exists") from error


def _find(name: str, running: Running) -> Variant:
    found = running.variants.find(name)
    if found is None:
        raise _unknown(name)
    return found


def _unknown(name: str) -> RequestError:
    message = f"There is no variant '{name[:100]}'; GET /v1/variants lists those there are."
    return RequestError(message, param="name", code="variant_not_found")
