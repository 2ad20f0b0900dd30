"""One process at a time."""

import sqlite3
from pathlib import Path


class LedgerBusyError(RuntimeError):
    """Another process writes to this ledger."""


def owned(path: Path) -> sqlite3.Connection:
    """A lock that ends with the process: two that resume one job would each ask what the other has open.

    Raises:
        LedgerBusyError: Another process holds it.
    """
    owner = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
    try:
        owner.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        owner.close()
        raise LedgerBusyError(
            f"Another process works on this job ({path} is locked); wait, or stop it."
        ) from error
    return owner
