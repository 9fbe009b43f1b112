"""From where somebody asks, and whether its account may ask from there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any

from catalog_registry.records import PrincipalRecord
from schemas.errors import DeniedError, Fault

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def peer_of(client: Sequence[Any] | None, forwarded: Iterable[str], proxies: Sequence[Network]) -> Address | None:
    """Return the address that asks; None where it is not to be known.

    Args:
        client: address and port of the connection's other end.
        forwarded: the values of ``X-Forwarded-For``, in their order. Each proxy adds who asked it at the end, so they are read
            from the end, and only as far as who wrote them is one of the proxies.
        proxies: the networks of the proxies that are believed.
    """
    here = _address(str(client[0])) if client else None
    said = [part.strip() for value in forwarded for part in value.split(",")]
    while here is not None and said and any(here in network for network in proxies):
        here = _address(said.pop())
    return here


def check_peer(principal: PrincipalRecord, peer: Address | None, code: str, log: Any) -> None:
    """Raise ``DeniedError`` where an account has ranges, and the address that asks is in none of them, or is not known.

    It is logged with the account's id: who has its secret or its token elsewhere may have stolen it.
    """
    if principal.ranges and (peer is None or not any(peer in network for network in principal.ranges)):
        log.warning("an account was used from a network that it may not ask from", principal=principal.id, code=code)
        raise DeniedError("the account may not ask from this address", code=code, fault=Fault.CLIENT)


def _address(text: str) -> Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return found if mapped is None else mapped
