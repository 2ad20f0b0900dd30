"""The server process: load, listen, and leave nothing open."""

import asyncio
import logging
import socket
import threading
from pathlib import Path

import uvicorn
from litestar import Litestar

from steersman_engine.serving import load
from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.served import ServedModel

READY = """\
{model} answers at {url}; its OpenAPI document is {url}/schema/openapi.json. Try:
  curl {url}/v1/chat/completions -H 'content-type: application/json' \
-d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'"""


class Server(uvicorn.Server):
    """uvicorn, which says where it listens once it does."""

    def __init__(self, app: Litestar, config: ServerConfig, model: str) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=config.host,
                port=config.port,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=config.graceful_shutdown_s,
            )
        )
        self.model = model
        self.url: str | None = None
        """None until it listens."""
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            print(READY.format(model=self.model, url=self.url), flush=True)
            self.listening.set()


def serve(
    model: str, bundle: str | None, config: ServerConfig, *, device: str, dtype: str, cache: Path
) -> None:
    """Load a model and answer for it until told to stop.

    Raises:
        ValueError: The names do not lead to a model and a bundle that fit.
        OSError: The model could not be fetched or read.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    print(f"Loading {model} ...", flush=True)
    loaded = load(model, bundle, device=device, dtype=dtype, cache=cache)
    served = ServedModel.of(loaded)
    try:
        Server(create_app(served, config), config, served.name).run()
    finally:
        asyncio.run(loaded.engine.aclose())
        loaded.catalog.close()
