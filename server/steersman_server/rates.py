"""How much one key may ask for."""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from steersman_server.config import ServerConfig
from steersman_server.errors import RequestError
from steersman_server.keys import ApiKey


class Bucket:
    """So many units a minute, a minute's worth at once. It may go into debt, which time pays off.

    What an answer costs is known when it is over, so a request is let in while there is no debt.
    """

    def __init__(self, per_minute: int, now: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._now = now
        self._level, self._at = float(per_minute), now()

    @property
    def level(self) -> float:
        """Units that may be taken now; below zero, a debt."""
        now = self._now()
        self._level = min(self.per_minute, self._level + (now - self._at) * self.per_minute / 60)
        self._at = now
        return self._level

    def take(self, units: float) -> None:
        """Take units, whether they are there or not."""
        self._level = self.level - units

    def wait_s(self, level: float) -> float:
        """Seconds until so many units are there."""
        return max(0.0, (level - self.level) * 60 / self.per_minute)


class Caller:
    """Who asks: a key, and what it has used."""

    def __init__(self, key: ApiKey, config: ServerConfig, now: Callable[[], float] = time.monotonic) -> None:
        self.key = key
        self.num_running = 0
        self.requests = _bucket(key.requests_per_minute or config.requests_per_minute, now)
        self.tokens = _bucket(key.tokens_per_minute or config.tokens_per_minute, now)
        self._max_concurrent = key.max_concurrent or config.max_concurrent

    @contextmanager
    def asking(self) -> Iterator[None]:
        """One more request is under way.

        Raises:
            RequestError: It would be one too many.
        """
        if self._max_concurrent is not None and self.num_running >= self._max_concurrent:
            message = (
                f"The key '{self.key.name}' has {self.num_running} requests under way, and may not have more."
            )
            raise RequestError(message, code="concurrency_limit_exceeded", retry_after_s=1)
        self._check(self.requests, 1, "requests")
        self._check(self.tokens, 0, "tokens")
        if self.requests is not None:
            self.requests.take(1)
        self.num_running += 1
        try:
            yield
        finally:
            self.num_running -= 1

    def spend(self, num_tokens: int) -> None:
        """Count tokens that were read or written."""
        if self.tokens is not None:
            self.tokens.take(num_tokens)

    def headers(self) -> dict[str, str]:
        """OpenAI's headers about what is left."""
        return {
            f"x-ratelimit-{what}-{unit}": value
            for unit, bucket in (("requests", self.requests), ("tokens", self.tokens))
            if bucket is not None
            for what, value in (
                ("limit", str(bucket.per_minute)),
                ("remaining", str(max(0, math.floor(bucket.level)))),
                ("reset", f"{bucket.wait_s(bucket.per_minute):.3f}s"),
            )
        }

    def _check(self, bucket: Bucket | None, needed: float, what: str) -> None:
        if bucket is None or (wait_s := bucket.wait_s(needed)) == 0:
            return
        message = f"The key '{self.key.name}' may use {bucket.per_minute} {what} a minute, and has."
        raise RequestError(message, code="rate_limit_exceeded", retry_after_s=math.ceil(wait_s))


def _bucket(per_minute: int | None, now: Callable[[], float]) -> Bucket | None:
    return None if per_minute is None else Bucket(per_minute, now)
