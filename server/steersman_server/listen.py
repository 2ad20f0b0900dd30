"""The server process: listen, load, and leave nothing open."""

import asyncio
import contextlib
import logging
import socket
import threading
from math import ceil

import uvicorn
from litestar import Litestar
from litestar.types import ASGIApp

from steersman_engine.commands import default_cache
from steersman_engine.local_engine import EngineConfig, LocalEngine
from steersman_engine.serving import Loaded, load
from steersman_server.app import create_app
from steersman_server.config import ServerConfig
from steersman_server.doorway import Doorway
from steersman_server.renewal import Renewal
from steersman_server.served import ServedModel

READY = """\
{model} answers at {url}, where its chat page is; {url}/docs describes the API. Try:
  curl {url}/v1/chat/completions -H 'content-type: application/json' \
-d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'"""


class Server(uvicorn.Server):
    """uvicorn, which says where it listens once it does."""

    def __init__(self, app: ASGIApp, config: ServerConfig) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=config.host,
                port=config.port,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=ceil(config.graceful_shutdown_s),
            )
        )
        self.url: str | None = None
        """None until it listens."""
        self.listening = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            self.url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
            self.listening.set()


def serve(config: ServerConfig) -> None:
    """Listen, load the model, and answer for it until told to stop.

    Raises:
        ValueError: The names do not lead to a model and a bundle that fit.
        OSError: The model could not be fetched or read, or the port is taken.
    """
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    with contextlib.ExitStack() as opened:
        ended: list[BaseException] = []
        name = config.model

        def loading() -> Litestar:
            nonlocal name
            loaded = _load(config)
            opened.callback(_close, loaded.engine)  # not the catalogue, which may be replaced
            name = loaded.name
            app = create_app(ServedModel.of(loaded), config)
            renewal.begin(loaded, app)
            return app

        def done(error: BaseException | None) -> None:
            if error is None:
                print(READY.format(model=name, url=server.url), flush=True)
                return
            ended.append(error)
            server.should_exit = True

        renewal = Renewal()
        renewal.on_signal()
        server = Server(Doorway(loading, done), config)
        print(f"Loading {config.model} ...", flush=True)
        server.run()
        if ended:
            raise ended[0]


def _load(config: ServerConfig) -> Loaded:
    return load(
        config.model,
        config.bundle,
        device=config.device,
        dtype=config.dtype,
        cache=config.cache_dir or default_cache(),
        config=EngineConfig(
            num_slots=config.slots,
            kv_bytes=int(config.kv_gib * 2**30),
            max_waiting=config.max_queue,
            max_jobs=config.max_jobs,
            max_job_positions=config.max_job_tokens,
            job_timeout_s=config.request_timeout_s,
        ),
    )


def _close(engine: LocalEngine) -> None:
    asyncio.run(engine.aclose())
