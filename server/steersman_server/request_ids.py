"""The id of a request, which its answer carries and its lines in the logs."""

import re
import secrets
from typing import Any

SANE_ID = re.compile(rb"[A-Za-z0-9_.-]{1,128}")


def request_id(scope: Any) -> str:
    """The id of a request: the one it came with, if that is sane, or else a new one."""
    state = scope["state"]
    if "request_id" not in state:
        given = dict(scope["headers"]).get(b"x-request-id", b"")
        state["request_id"] = given.decode() if SANE_ID.fullmatch(given) else f"req_{secrets.token_hex(16)}"
    return state["request_id"]
