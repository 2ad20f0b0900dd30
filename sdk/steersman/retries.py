"""When to ask again, and how long to wait first."""

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

RETRIED = frozenset({408, 429})
"""And all from 500 up. 409 is not among them: a name that is taken stays taken."""
FIRST_DELAY_S = 0.5
MAX_BACKOFF_S = 8.0
MAX_DELAY_S = 60.0
"""The longest wait that a server may ask for; a longer one is an error at once."""


def delay_after_failure(attempt: int) -> float:
    """Seconds to wait after attempt number `attempt` (from 0): doubling, less up to a quarter."""
    return min(FIRST_DELAY_S * 2**attempt, MAX_BACKOFF_S) * (1 - 0.25 * random.random())


def delay_after_status(status_code: int, headers: Mapping[str, str], attempt: int) -> float | None:
    """Seconds to wait before asking again after an answer that is not 2xx, or None not to."""
    told = headers.get("x-should-retry")
    if told == "false" or (told != "true" and status_code not in RETRIED and status_code < 500):
        return None
    asked = _retry_after(headers)
    if asked is None:
        return delay_after_failure(attempt)
    return asked if asked <= MAX_DELAY_S else None


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks for, or None if it does not, or not in a way to be understood."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value)
    return seconds if seconds is not None and seconds >= 0 else None


def _seconds_until(date: str) -> float | None:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()
