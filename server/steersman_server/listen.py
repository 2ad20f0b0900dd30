"""The server process: listen, load, answer until told to stop, and leave nothing open."""

import asyncio
import logging
import socket
import threading
from collections.abc import Callable
from math import ceil

import uvicorn
from litestar import Litestar

from steersman_engine.commands import default_cache
from steersman_engine.local_engine import LocalEngine
from steersman_engine.serving import load
from steersman_server.app import create_app
from steersman_server.checks import Checks, engine_config, explained
from steersman_server.config import ServerConfig
from steersman_server.doorway import Doorway
from steersman_server.logs import configure_log
from steersman_server.ports import bind, url_of
from steersman_server.renewal import Renewal
from steersman_server.served import ServedModel
from steersman_server.stop import Stop

log = logging.getLogger(__name__)

POLL_S = 0.5
READY = """\
{model} answers at {url}, where its chat page is; {url}/docs describes the API. Try:
  curl {url}/v1/chat/completions -H 'content-type: application/json' \
-d '{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}'"""
LAST_WORDS_S = 2.0
"""For clients to take in the ends of their answers, once these were ended."""


class Server(uvicorn.Server):
    """uvicorn, which says where it listens, and ends answers rather than cutting them off.

    Without `app` requests are told to come back until its doorway is opened.
    """

    def __init__(self, app: Litestar | None, config: ServerConfig) -> None:
        self.doorway = Doorway(app, config)
        super().__init__(
            uvicorn.Config(
                self.doorway,
                host=config.host,
                port=config.port,
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=ceil(2 * LAST_WORDS_S),
            )
        )
        self._graceful_s = config.graceful_shutdown_s
        self.engine: LocalEngine | None = None
        """What is closed when answers take too long to end."""
        self.url: str | None = None
        """None until it listens."""
        self.listening = threading.Event()

    def leave(self) -> None:
        """Stop. Any thread may call it."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen."""
        await super().startup(sockets)
        if self.started:
            self.url = url_of(self.servers[0].sockets[0])
            self.listening.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let answers end until the deadline, then end them with an error; then hang up.

        Until then the port stays open, so that who comes now is told that the server stops.
        """
        if self.doorway.num_inside:
            log.warning("Stopping; %d requests have %g s.", self.doorway.num_inside, self._graceful_s)
        if not await self.doorway.close(self._graceful_s) and self.engine is not None:
            log.warning("Ending %d requests.", self.doorway.num_inside)
            await self.engine.aclose()
        hanging_up = asyncio.get_running_loop().call_later(LAST_WORDS_S, self._hang_up)
        await super().shutdown(sockets)
        hanging_up.cancel()

    def _hang_up(self) -> None:
        """On all who do not take in what is sent to them; the rest of a request then sees its client gone."""
        for connection in list(self.server_state.connections):
            connection.transport.abort()


def serve(config: ServerConfig, tell: Callable[[str], None]) -> int:
    """Listen, load the model, and answer for it until told to stop; the exit code.

    `tell` is told `READY=1` and `STOPPING=1`, for a service manager.

    Raises:
        ValueError: The names do not lead to a model and a bundle that fit each other and this machine.
        OSError: The model could not be fetched or read, the port is taken, or a folder cannot be written.
    """
    configure_log(config)
    checks = Checks(config)
    for check in (
        checks.variants,
        checks.moderation,
        checks.records,
    ):  # the others are made as the model is loaded
        check()
    sockets, server = bind(config.host, config.port), Server(None, config)

    def leave() -> None:
        tell("STOPPING=1")
        server.leave()

    stop, renewal = Stop(leave), Renewal()
    renewal.on_signal()
    thread = threading.Thread(target=server.run, args=[sockets], name="steersman-http")
    thread.start()
    app = None
    try:
        print(f"Loading {config.model} ...", flush=True)
        with explained():
            app = stop.unless_told(lambda: _load_app(server, renewal, config))
        if app is not None:
            server.doorway.open(app)
            _wait(thread, server.doorway.opened)
        if app is not None and stop.signal is None:
            print(READY.format(model=app.state.running.served.name, url=server.url), flush=True)
            tell("READY=1")
            _wait(thread)
    finally:
        server.leave()
        thread.join()
        if server.engine is not None:
            asyncio.run(server.engine.aclose())
        if app is not None:
            app.state.running.served.catalog.close()
    if stop.signal is None:
        raise OSError("The server ended by itself; what is written above says why.")
    return stop.exit_code


def _load_app(server: Server, renewal: Renewal, config: ServerConfig) -> Litestar:
    """The application; nothing but it holds the catalogue, which may be replaced."""
    loaded = load(
        config.model,
        config.bundle,
        device=config.device,
        dtype=config.dtype,
        cache=config.cache_dir or default_cache(),
        config=engine_config(config),
    )
    server.engine = loaded.engine
    app = create_app(ServedModel.of(loaded), config)
    renewal.begin(loaded, app)
    return app


def _wait(server: threading.Thread, opened: threading.Event | None = None) -> None:
    """Until the server has opened, if that is asked for, or has ended; signals are seen to meanwhile."""
    while server.is_alive() and not (opened and opened.is_set()):
        opened.wait(POLL_S) if opened else server.join(POLL_S)
