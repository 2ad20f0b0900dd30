"""SIGINT and SIGTERM: the first ends a server in order, the second at once."""

import os
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import TypeVar

T = TypeVar("T")

AGAIN_S = 0.01


class StoppedError(KeyboardInterrupt):
    """A signal came; asyncio, among others, lets what is a KeyboardInterrupt through."""


class Stop:
    """Catches both signals from now on, and calls `tell` at the first. For the main thread."""

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._raises = self._is_lost = False
        self.signal: int | None = None
        """The one that came."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._come)

    @property
    def exit_code(self) -> int:
        """0 after SIGTERM, which asks for an orderly end; 130, as shells have it, after SIGINT."""
        return 128 + signal.SIGINT if self.signal == signal.SIGINT else 0

    def unless_told(self, work: Callable[[], T]) -> T | None:
        """What `work` returns; None if a signal came, which ends it wherever it is."""
        hook, sys.unraisablehook = sys.unraisablehook, self._again
        try:
            self._raises = True
            return work() if self.signal is None else None
        except StoppedError:
            return None
        except Exception:
            if self.signal is None:
                raise
            return None  # Ctrl-C ends child processes too, and what waits for them fails
        finally:
            self._raises = False
            sys.unraisablehook = hook

    def _come(self, number: int, _: FrameType | None) -> None:
        if self._is_lost:
            self._is_lost = False
        elif self.signal is not None:
            os._exit(128 + number)  # sys.exit would wait for threads
        else:
            self.signal = number
            self._tell()
        if self._raises:
            raise StoppedError

    def _again(self, lost: "sys.UnraisableHookArgs") -> None:
        """Nothing can be raised in a destructor or when a module's lock goes: come again a moment later."""
        if lost.exc_type is not StoppedError:
            sys.__unraisablehook__(lost)
            return
        assert self.signal is not None
        self._is_lost = True
        threading.Timer(AGAIN_S, os.kill, [os.getpid(), self.signal]).start()
