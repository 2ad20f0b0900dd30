"""API keys, of which only hashes are kept, and who could ask without one."""

import hashlib
import re
from collections.abc import Iterable
from ipaddress import ip_address

DIGEST = re.compile(r"sha256:([0-9a-fA-F]{64})")


def read_keys(lines: Iterable[str]) -> frozenset[bytes]:
    """SHA-256 digests of API keys. A line is a key, or `sha256:` and the digest of one; `#` begins a comment.

    Raises:
        ValueError: A line is neither.
    """
    digests = set()
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith("sha256:"):
            found = DIGEST.fullmatch(text)
            if found is None:
                raise ValueError(
                    f"Line {number} of the API keys begins with sha256: and has no 64 hex digits after it."
                )
            digests.add(bytes.fromhex(found[1]))
        elif text.isascii() and text.isprintable() and len(text.split()) == 1:
            digests.add(hashlib.sha256(text.encode()).digest())
        else:
            raise ValueError(
                f"Line {number} of the API keys is no key: it has spaces or characters beyond ASCII."
            )
    return frozenset(digests)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a server that listens on `host`."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
