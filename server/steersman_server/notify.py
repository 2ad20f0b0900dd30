"""Tells the service manager that started the server how it stands: sd_notify, systemd's protocol."""

import socket


def notify(address: str | None, state: str) -> None:
    """Send `READY=1` or `STOPPING=1` to the socket that `NOTIFY_SOCKET` names; None: nobody wants to know."""
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.sendto(state.encode(), "\0" + address[1:] if address.startswith("@") else address)
