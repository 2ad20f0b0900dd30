"""API keys, of which only hashes are kept, and who could ask without one."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

Role = Literal["chat", "inspect", "admin"]
"""Each may do what those before it may."""

Positive = Annotated[int, Meta(ge=1)]
DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")


class ApiKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A key that the server knows the digest of; `name` stands for it in every log."""

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$")]
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    role: Role = "admin"
    moderated: bool = True
    """Whether moderation applies to who has it; researchers may be let off."""
    requests_per_minute: Positive | None = None
    """This and the two below: in place of the server's own settings."""
    tokens_per_minute: Positive | None = None
    max_concurrent: Positive | None = None

    @classmethod
    def of(cls, secret: str, name: str | None = None, role: Role = "admin") -> "ApiKey":
        """A key that is given itself; without a name it is called by the beginning of its digest."""
        return cls.of_digest(hashlib.sha256(secret.encode()).hexdigest(), name, role)

    @classmethod
    def of_digest(cls, sha256: str, name: str | None = None, role: Role = "admin") -> "ApiKey":
        """A key of which only the digest is given.

        Raises:
            msgspec.ValidationError: The digest, the name or the role is none.
        """
        fields = {"name": name or f"key-{sha256[:8].lower()}", "sha256": sha256.lower(), "role": role}
        return msgspec.convert(fields, cls)


def read_keys(lines: Iterable[str]) -> tuple[ApiKey, ...]:
    """Keys out of lines `KEY [NAME [ROLE]]`, where KEY may be `sha256:` and its digest; `#` begins a comment.

    Raises:
        ValueError: A line is something else.
    """
    return tuple(_read_keys(lines))


def _read_keys(lines: Iterable[str]) -> Iterator[ApiKey]:
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        secret, *rest = words
        if len(rest) > 2 or not (secret.isascii() and secret.isprintable()):
            raise ValueError(f"Line {number} of the API keys is not KEY, or KEY NAME, or KEY NAME ROLE.")
        digest = DIGEST.fullmatch(secret)
        if secret.startswith("sha256:") and digest is None:
            raise ValueError(
                f"Line {number} of the API keys begins with sha256: and has no 64 hex digits after it."
            )
        try:
            yield ApiKey.of_digest(digest[1], *rest) if digest else ApiKey.of(secret, *rest)  # pyright: ignore
        except msgspec.ValidationError as error:
            raise ValueError(f"Line {number} of the API keys: {error}.") from error


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
