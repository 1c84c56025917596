"""The socket that a process serves on."""

from __future__ import annotations

import socket


def listening(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address; port 0 is any that is free.

    Raises OSError if it cannot be had, UnicodeError for a name that is none.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is: without
    # that, every answer waits 40 ms for the acknowledgement of its own headers.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except BaseException:
        listener.close()
        raise
    return listener
