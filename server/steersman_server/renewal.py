"""A new catalogue for a server that runs, when it gets SIGUSR1."""

import logging
import signal
import threading

from litestar import Litestar

from steersman_engine.serving import Loaded, with_new_catalog
from steersman_server.app import answer_for
from steersman_server.running import Running

log = logging.getLogger(__name__)


class Renewal:
    """Reads the bundle's catalogue anew, again and again if need be."""

    def __init__(self) -> None:
        self._serving: tuple[Loaded, Litestar] | None = None
        self._lock = threading.Lock()

    def begin(self, loaded: Loaded, app: Litestar) -> None:
        """From now on there is something to renew."""
        self._serving = loaded, app

    def renew(self) -> None:
        """Serve the catalogue that the bundle's folder holds now, or say in the log why not."""
        with self._lock:
            if self._serving is None:
                return
            loaded, app = self._serving
            try:
                loaded = with_new_catalog(loaded)
            except (ValueError, OSError) as error:
                log.error("The catalogue stays as it was: %s", error)
                return
            running: Running = app.state.running
            answer_for(app, running.served.with_catalog(loaded.catalog, loaded.bundle))
            self._serving = loaded, app
            log.warning("From now on served: %s.", loaded.bundle)

    def on_signal(self) -> None:
        """Renew at every SIGUSR1, where the system has it. For the main thread."""
        if hasattr(signal, "SIGUSR1"):
            signal.signal(signal.SIGUSR1, lambda *_: threading.Thread(target=self.renew).start())
