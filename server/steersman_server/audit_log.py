"""The file that the records of the audit log go to, one JSON object a line, from a thread of its own."""

import errno
import logging
import os
import queue
import threading
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from steersman_server.account import Account
from steersman_server.audit import encode, is_audited, record_of
from steersman_server.config import ServerConfig
from steersman_server.metrics import Metrics

log = logging.getLogger(__name__)

MAX_WAITING = 10_000
"""Records that may wait for a slow disk."""
CLOSE_S = 5.0
"""How long the end of a server may wait for it."""


class AuditFile(RotatingFileHandler):
    """Appends lines, whole or not at all, and begins a new file when one is full.

    Raises:
        ValueError: The file cannot be written.
    """

    def __init__(self, path: Path, max_bytes: int, backups: int) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            super().__init__(path, maxBytes=max_bytes, backupCount=backups)
        except OSError as error:
            message = f"The audit log {path} cannot be written: {error.strerror}. --audit-log names another."
            raise ValueError(message) from error

    def write(self, line: str) -> None:
        """Append a line.

        Raises:
            OSError: The disk is full, say.
        """
        record = logging.makeLogRecord({"msg": line})
        if self.shouldRollover(record):
            self.doRollover()
        file, data = self._file, line.encode() + b"\n"
        size = file.seek(0, os.SEEK_END)
        if file.write(data) < len(data):
            file.truncate(size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.baseFilename)

    @property
    def _file(self) -> Any:
        if self.stream is None:  # the last rotation failed half way
            self.stream = self._open()
        return self.stream

    def _open(self) -> Any:
        return open(self.baseFilename, "ab", buffering=0, opener=_private)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o640)


def open_audit_file(config: ServerConfig) -> AuditFile | None:
    """The file that the configuration names, if any.

    Raises:
        ValueError: It cannot be written.
    """
    if config.audit_log is None:
        return None
    return AuditFile(config.audit_log, config.audit_max_bytes, config.audit_backups)


class AuditLog:
    """Writes a record of each request that belongs there. What cannot be written is counted, and answered."""

    def __init__(self, file: AuditFile, metrics: Metrics, *, with_text: bool) -> None:
        self._file, self._metrics, self._with_text = file, metrics, with_text
        self._num_lost = 0  # since the last that was written
        self._waiting: queue.Queue[Account | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._run, name="steersman-audit", daemon=True)
        self._thread.start()

    def keep(self, account: Account) -> None:
        """Have a request that is over written down, if it belongs in the log."""
        if not is_audited(account):
            return
        try:
            self._waiting.put_nowait(account)
        except queue.Full:
            self._lose(f"{MAX_WAITING} records wait already")

    def close(self) -> None:
        """Write what waits, for a while, and close the file."""
        try:
            self._waiting.put(None, timeout=CLOSE_S)
        except queue.Full:
            return
        self._thread.join(CLOSE_S)

    def _run(self) -> None:
        while self._write_next():
            pass
        self._file.close()

    def _write_next(self) -> bool:
        """Wait for a record and write it; False at the end. What it was made of is kept no longer."""
        if (account := self._waiting.get()) is None:
            return False
        try:
            self._file.write(encode(record_of(account, with_text=self._with_text)))
        except OSError as error:
            self._lose(error)
        except Exception as error:
            log.exception("A record of the audit log could not be made.")
            self._lose(error)
        else:
            self._written()
        return True

    def _written(self) -> None:
        self._metrics.audit_written.inc()
        if self._num_lost:
            log.warning("The audit log is written again; %d records were lost.", self._num_lost)
            self._num_lost = 0

    def _lose(self, why: object) -> None:
        self._metrics.audit_lost.inc()
        self._num_lost += 1
        if self._num_lost == 1:
            log.error("The audit log cannot be written, and its records are lost: %s", why)
