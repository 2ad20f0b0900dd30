"""The application: routes, and what holds for all of them."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from functools import partial

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.types import Scope

import steersman
from steersman_server.account import Account
from steersman_server.accounting import accounting, notice
from steersman_server.auth import OPEN, Callers, Gate, is_moderated
from steersman_server.books import Books, open_books
from steersman_server.config import ServerConfig
from steersman_server.documents.openapi import Document
from steersman_server.documents.page import Page
from steersman_server.errors import handle
from steersman_server.headers import stamp
from steersman_server.metrics import Metrics
from steersman_server.moderation.judges import Judge
from steersman_server.moderation.policy import NOTHING
from steersman_server.moderation.setup import adopt, make_moderator
from steersman_server.routes import routes
from steersman_server.running import Running
from steersman_server.served import ServedModel
from steersman_server.site import site
from steersman_server.variants import VariantStore


def cors(config: ServerConfig) -> CORSConfig | None:
    """Which pages elsewhere may use the server; None: none."""
    if not config.cors_origin:
        return None
    return CORSConfig(
        allow_origins=list(config.cors_origin),
        allow_methods=["GET", "POST", "PUT", "DELETE"],
        allow_headers=["authorization", "content-type", "x-api-key", "x-request-id"],
        expose_headers=["retry-after", "x-request-id"],
        max_age=600,
    )


def create_app(served: ServedModel, config: ServerConfig) -> Litestar:
    """An ASGI application that answers for `served`; the caller closes the engine and the catalogue.

    Raises:
        ValueError: The file of variants, of signals, or of the audit log is something else; or tracing is
            asked for and not installed.
    """
    metrics = Metrics(served.engine, served.name, served.bundle, steersman.__version__)
    moderator = make_moderator(config, served)
    if moderator.policy == NOTHING:
        served = served.unmoderated()
    running = Running(served, config, VariantStore.open(config.variants), metrics, moderator)
    books = open_books(config, metrics, served.name)
    app = Litestar(
        [Router("/", route_handlers=[*routes(), site()])],  # one, because each is indexed anew
        state=State({"running": running, "unmoderated": running.unmoderated()}),
        dependencies={"running": Provide(_running, sync_to_thread=False)},
        exception_handlers={Exception: handle},
        middleware=[partial(Gate, callers=Callers(config))],
        after_exception=[notice],
        before_send=[stamp(metrics)],
        lifespan=[_closing(running.variants, moderator.judge, books)],
        request_max_body_size=config.max_body_bytes,
        cors_config=cors(config),
        openapi_config=OpenAPIConfig(
            title="steersman",
            version=steersman.__version__,
            use_handler_docstrings=True,
            render_plugins=[Page(path="/"), Document(path="/openapi.json")],
            openapi_router=Router("/schema", route_handlers=[], include_in_schema=False, opt=OPEN),
        ),
        logging_config=None,
    )
    app.asgi_handler = accounting(app.asgi_handler, config, books.all)  # unknown paths pass there too
    return app


def _closing(
    variants: VariantStore, judge: Judge, books: Books
) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    """Closes them at the end; it holds no catalogue, which may be replaced before."""

    @asynccontextmanager
    async def closing(_: Litestar) -> AsyncGenerator[None, None]:
        yield
        variants.close()
        await judge.aclose()
        await asyncio.to_thread(books.close)

    return closing


def answer_for(app: Litestar, served: ServedModel) -> None:
    """Let `app` answer for `served` from the next request on; those under way end as they began.

    Any thread may call it.
    """
    running: Running = app.state.running
    running.metrics.serves(served.bundle)
    moderator = adopt(running.moderator, served)
    made = replace(running, served=served, moderator=moderator)
    app.state.running, app.state.unmoderated = made, made.unmoderated()


def _running(state: State, scope: Scope) -> Running:
    """What a request works with, from its beginning to its end."""
    running: Running = state.running if is_moderated(scope) else state.unmoderated
    account: Account = scope["state"]["account"]
    account.served = running.served
    return running
