"""Harvests another catalogue: gets and reads it in a process that is bounded, then keeps it in the registry, all or nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from catalog_registry.harvest.documents import Document, Read
from exchange.bounded import OverTimeError, in_child
from exchange.harvest.fetch import allowed_prefixes, check_allowed
from schemas.errors import Fault, TransientError

if TYPE_CHECKING:
    from catalog_registry.harvest.harvests import CatalogueRecord
    from exchange.bootstrap import Hub
    from exchange.settings import Settings


def harvest(hub: Hub, name: str, *, shrink: bool = False) -> tuple[CatalogueRecord, Mapping[str, int]]:
    """Read another catalogue as it is now and keep it; return it and what changed.

    Args:
        hub: the hub.
        name: of the catalogue.
        shrink: take it although more than a fifth of what was there would be gone.

    Raises:
        RejectedError: there is no such catalogue, it cannot be read, or it shrank too much; what was kept stays.
        DeniedError: its address is not one that is allowed.
        TransientError: it cannot be reached, or takes too long.
    """
    found = hub.registry.other_catalogue(name)
    return hub.registry.take_harvest(name, read_at(hub.settings, found.address), own=own_bases(hub.settings), shrink=shrink)


def own_bases(settings: Settings) -> tuple[str, ...]:
    """Return how the names of the own catalogue's things begin."""
    own = f"urn:onedoor:{settings.division}"
    return (own, settings.public_url.rstrip("/")) if settings.public_url else (own,)


def read_at(settings: Settings, address: str) -> Read:
    """Return what is read at an address, or in a file. Raises as ``harvest``."""
    allowed = allowed_prefixes(settings.harvest_allow)
    if not address.startswith("file:"):
        check_allowed(address, allowed)
    within_s = settings.harvest_s
    asked = {"address": address, "allowed": allowed, "most_bytes": settings.harvest_bytes, "within_s": within_s}
    try:
        told = json.loads(in_child("exchange.harvest.child", asked, within_s=within_s, code="harvest.reader"))
    except OverTimeError as error:
        raise TransientError(
            error.message, code="harvest.slow", remedy="raise ONEDOOR_HARVEST_S", fault=Fault.PROVIDER
        ) from error
    documents = tuple(Document(d["iri"], d["title"], d["content"]) for d in told["documents"])
    return Read(documents, told["nameless"], told["untitled"])
