"""Loopback ports: chosen once, kept, and named clearly when taken."""

from __future__ import annotations

import socket

from schemas.errors import Fault, RejectedError

LOOPBACK = "127.0.0.1"


def is_free(port: int) -> bool:
    """Say whether a server could listen on the loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def choose(*, avoid: frozenset[int] = frozenset()) -> int:
    """Return a loopback port that is free now and not among ``avoid``."""
    held: list[socket.socket] = []
    try:
        while True:
            probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.append(probe)
            probe.bind((LOOPBACK, 0))
            port = int(probe.getsockname()[1])
            if port not in avoid:
                return port
    finally:
        for probe in held:
            probe.close()


def settle(name: str, *, wanted: int, kept: int, avoid: frozenset[int] = frozenset()) -> int:
    """Return the port a service is to use.

    Args:
        name: the service, for messages.
        wanted: the port a person set, 0 for none: it is used or refused, never changed.
        kept: the port chosen at an earlier start, 0 for none: used again while it is free.
        avoid: ports that other services of this installation use.

    Raises:
        RejectedError: the port that a person set is taken.
    """
    if wanted:
        if is_free(wanted):
            return wanted
        raise RejectedError(
            f"port {wanted} of {name} is taken on {LOOPBACK}",
            code="local.port_taken",
            where=f"ONEDOOR_{name.upper()}_PORT",
            remedy=f"end what listens there, or set {name}_port to another port or to 0 for a free one",
            fault=Fault.CLIENT,
        )
    if kept and kept not in avoid and is_free(kept):
        return kept
    return choose(avoid=avoid)
