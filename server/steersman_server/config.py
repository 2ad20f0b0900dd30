"""How a server behaves, decided once when it starts."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerConfig:
    """Where a server listens, whom it answers, and what it allows."""

    host: str = "127.0.0.1"
    port: int = 8000
    """0 takes a free one."""
    api_keys: frozenset[bytes] = frozenset()
    """SHA-256 digests; without any, everybody is answered."""
    allowed_hosts: frozenset[str] | None = None
    """What the Host header may say; None: anything."""
    variants: Path | None = None
    """The file that keeps variants; None: memory."""
    max_strength: float = 2.0
    """No edit may ask for more than so many times a feature's h_max, nor a scale for a larger factor."""
    max_attribution_tokens: int = 256
    """Tokens of an answer that one request may have explained."""
    max_body_bytes: int = 10_000_000
    graceful_shutdown_s: int = 5
    """How long answers under way may go on when the server is told to stop."""

    def __post_init__(self) -> None:
        """Raise ValueError for a maximum that would refuse every edit."""
        if not self.max_strength > 0:
            raise ValueError(f"The maximal strength is {self.max_strength:g}; it must be above 0.")
