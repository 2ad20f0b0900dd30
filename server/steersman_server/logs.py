"""The log of the process: its lines, and whose request each belongs to."""

import logging
import threading
from datetime import UTC, datetime
from typing import Any

import msgspec
from transformers.utils.logging import disable_progress_bar

from steersman_server.account import WHOSE
from steersman_server.config import ServerConfig

OURS = ("steersman_catalog", "steersman_engine", "steersman_server", "uvicorn")
"""Whose lines `log_level` is about; of others come warnings, and worse."""

_encode = msgspec.json.Encoder().encode


class TextFormatter(logging.Formatter):
    """Lines for people; those of a request end with its id and the name of its key."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s%(whose)s")

    def format(self, record: logging.LogRecord) -> str:
        """The line, and a traceback if there is one."""
        whose = " ".join(_whose().values())
        record.whose = f" [{whose}]" if whose else ""
        return super().format(record)


class JsonFormatter(logging.Formatter):
    """An object for each record: `time`, `level`, `logger`, `message`, and what else there is."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever is in it."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_whose(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return _encode(line).decode()


def _whose() -> dict[str, str]:
    """The id of the request that is being worked for, and the name of its key, where there are any."""
    whose = WHOSE.get()
    if whose is None:
        return {}
    return {"request_id": whose.request_id} | ({"key": whose.key} if whose.key else {})


def configure_log(config: ServerConfig) -> None:
    """Send all to the standard error output in one form: ours, uvicorn's, warnings, lost exceptions."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if config.log_format == "json" else TextFormatter())
    level = config.log_level.upper()
    logging.basicConfig(
        level=max(logging.WARNING, logging.getLevelName(level)), handlers=[handler], force=True
    )
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)
    if config.log_format == "json":
        disable_progress_bar()  # it writes there too
    threading.excepthook = _log_lost


def _log_lost(lost: threading.ExceptHookArgs) -> None:
    """Log what ended a thread, if it is not how threads end."""
    if lost.exc_type is SystemExit:
        return
    name = lost.thread.name if lost.thread else "?"
    error = lost.exc_value
    logging.getLogger(__name__).critical("The thread %s ended with an exception.", name, exc_info=error)
