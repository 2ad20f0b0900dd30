"""Where a server listens."""

import errno
import socket
import sys

REASONS = {
    errno.EADDRINUSE: "it is taken; end what listens there, or choose another (--port; 0 takes a free one)",
    errno.EACCES: "it is not permitted; choose a port from 1024 on (--port)",
    errno.EADDRNOTAVAIL: "this machine has no such address (--host)",
}

ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def bind(host: str, port: int) -> list[socket.socket]:
    """A listening socket for each address that a name has here, all of one port.

    Raises:
        OSError: None can be had, or one is taken; the message says which, and what to do.
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as error:
        raise OSError(f"No address is known for {host!r} (--host): {error.strerror}.") from error
    sockets: list[socket.socket] = []
    absent: OSError | None = None
    for family, *_, address in sorted(set(found)):
        port = port or (sockets[0].getsockname()[1] if sockets else 0)
        try:
            sockets.append(_listen(family, (address[0], port, *address[2:])))
        except OSError as error:
            if error.errno in ABSENT:  # IPv6, say, for which the name has an address all the same
                absent = error
                continue
            for opened in sockets:
                opened.close()
            raise _explained(error, str(address[0]), port) from error
    if absent is not None and not sockets:
        raise _explained(absent, host, port) from absent
    return sockets


def _listen(family: int, address: tuple[str | int, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        if sys.platform != "win32":  # where it would let two servers have one port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(address)
        made.listen()
    except BaseException:
        made.close()
        raise
    return made


def _explained(error: OSError, host: str, port: int) -> OSError:
    why = REASONS.get(error.errno or 0, error.strerror)
    return OSError(f"Cannot listen on {address_of(host, port)}: {why}.")


def address_of(host: str, port: int) -> str:
    """As it stands in URLs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def url_of(listening: socket.socket) -> str:
    """Where a socket is found."""
    host, port = listening.getsockname()[:2]
    return f"http://{address_of(host, port)}"
