"""The application: routes, and what holds for all of them."""

from litestar import Litestar
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig

import steersman
from steersman_server.chat import create_chat_completion
from steersman_server.config import ServerConfig
from steersman_server.errors import handle
from steersman_server.features import get_feature, list_features
from steersman_server.headers import add_headers, clock
from steersman_server.models import get_model, health, list_models
from steersman_server.served import ServedModel


def create_app(served: ServedModel, config: ServerConfig) -> Litestar:
    """An ASGI application that answers for `served`; the caller closes the engine and the catalogue."""
    return Litestar(
        [create_chat_completion, list_models, get_model, list_features, get_feature, health],
        dependencies={
            "served": Provide(lambda: served, sync_to_thread=False),
            "config": Provide(lambda: config, sync_to_thread=False),
        },
        exception_handlers={Exception: handle},
        middleware=[clock],
        before_send=[add_headers],
        request_max_body_size=config.max_body_bytes,
        openapi_config=OpenAPIConfig(title="steersman", version=steersman.__version__),
        logging_config=None,
    )
