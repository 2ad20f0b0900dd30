"""A new catalogue for a server that runs, when it gets SIGUSR1."""

import gc
import logging
import signal
import threading
import time
import weakref

from litestar import Litestar

from steersman_catalog import Catalog
from steersman_engine.serving import Loaded, with_new_catalog
from steersman_server.app import answer_for
from steersman_server.running import Running

log = logging.getLogger(__name__)

WAITS_S = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Between two looks at whether a catalogue that was replaced is still read."""


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
            old = weakref.ref(self._serving[0].catalog)
            running: Running = app.state.running
            answer_for(app, running.served.with_catalog(loaded.catalog, loaded.bundle))
            self._serving = loaded, app
            log.warning("From now on served: %s.", loaded.bundle)
        threading.Thread(target=let_go, args=[old], daemon=True).start()

    def on_signal(self) -> None:
        """Renew at every SIGUSR1, where the system has it. For the main thread."""
        if hasattr(signal, "SIGUSR1"):
            signal.signal(signal.SIGUSR1, lambda *_: threading.Thread(target=self.renew).start())


def let_go(old: weakref.ref[Catalog]) -> None:
    """See to it that the file of a catalogue closes once the requests that read it are over.

    Errors and what they were raised in refer to one another: such a ring, and the catalogue in it, stays
    until the collector comes, and in a server at rest it does not come.
    """
    for wait_s in WAITS_S:
        time.sleep(wait_s)
        gc.collect()
        if old() is None:
            return
