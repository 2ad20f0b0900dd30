"""`/health`, `/ready` and `/metrics`: for those who run a server."""

import asyncio

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.response import Redirect

import steersman
from steersman.types import Health
from steersman_server.errors import error_responses
from steersman_server.metrics import CONTENT_TYPE
from steersman_server.running import Running


@get(["/health", "/ready"], tags=["server"], responses=error_responses(503))
async def health(running: NamedDependency[Running]) -> Health:
    """The server is up, its self-test has passed, and it answers. While it loads, both say 503."""
    served = running.served
    return Health(status="ok", version=steersman.__version__, model=served.name, bundle=served.bundle)


@get("/docs", include_in_schema=False)
async def documents() -> Redirect:
    """The page of the API."""
    return Redirect("/schema")


@get("/metrics", tags=["server"], media_type=CONTENT_TYPE, responses=error_responses())
async def metrics(running: NamedDependency[Running]) -> Response[bytes]:
    """What the server and its engine count, as Prometheus reads it."""
    return Response(await asyncio.to_thread(running.metrics.render), media_type=CONTENT_TYPE)
