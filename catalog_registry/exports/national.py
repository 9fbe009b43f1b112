"""The national JSON form of the catalogue, out and in.

The keys in the first part of ``NATIONAL`` are those that the source names; where it names none for a core one, the
hub's own stands in the second part. Lists of codes are one text with commas. The counts follow from the ways of sharing, so
they are written and not read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from catalog_registry.brought import EntryPlace, Faults, GivenEntry
from schemas.catalogue import CatalogueEntry, SharingWay
from schemas.catalogue_form import entry_document, fault_parts, read_entry, try_entry
from schemas.errors import Fault, RejectedError

NATIONAL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "code": "cata_code",
        "sharing_type": "shared_type",
        "sharing_ways": "shared_way",
        "sharing_condition": "shared_condition",
        "open": "open_type",
        "update_cycle": "update_cycle",
        "other_update_cycle": "other_update_cycle",
        "channel": "net_type",
        "secrecy": "secret_level",
        "region": "region_code",
        "provider_code": "credit_code",
        "service_items": "item_code",
        "handling_items": "task_handle_item",
        "licence_types": "certification_type",
        # not named by the source
        "classification": "cata_class",
        "title": "cata_title",
        "provider": "org_name",
        "abstract": "abstract",
        "format": "format",
        "fields": "items",
        "sharing_basis_kind": "shared_basis_type",
        "sharing_basis": "shared_basis",
        "open_condition": "open_condition",
        "published_on": "publish_date",
        "related": "related_cata_code",
        "level": "level",
    }
)
"""The hub's key of an entry → the national one."""

COUNTS: Final[Mapping[str, SharingWay]] = MappingProxyType(
    {"api_count": SharingWay.API, "table_count": SharingWay.TABLE, "file_count": SharingWay.FILE}
)
_OURS: Final = MappingProxyType({national: ours for ours, national in NATIONAL.items()})
_LISTS: Final = ("sharing_ways", "service_items", "handling_items", "licence_types", "related")
_OPEN: Final = MappingProxyType({True: "1", False: "0"})


def national_json(entries: Iterable[CatalogueEntry]) -> Iterator[str]:
    """Yield the text of a JSON array, an entry at a time."""
    yield "["
    between = "\n"
    for entry in entries:
        yield between + json.dumps(national_document(entry), ensure_ascii=False)
        between = ",\n"
    yield "\n]\n"


def national_document(entry: CatalogueEntry) -> dict[str, Any]:
    """Return an entry in the national form."""
    own = entry_document(entry)
    made: dict[str, Any] = {}
    for ours, national in NATIONAL.items():
        if ours == "open":
            made[national] = _OPEN[entry.open]
        elif ours == "fields":
            made[national] = [_renamed(field) for field in own[ours]]
        elif ours in own:
            made[national] = ",".join(own[ours]) if ours in _LISTS else own[ours]
    return made | {key: int(way in entry.sharing.ways) for key, way in COUNTS.items()}


def read_national(text: str, *, where: str = "<national>") -> list[CatalogueEntry]:
    """Return the entries of a text in the national form: an array, or one object.

    Raises:
        RejectedError: it is no JSON of objects, or one of them is no entry; the faults of that one are named by its own keys.
    """
    documents = load_objects(text, where=where)
    return [
        from_national(document, where=where if len(documents) == 1 else f"{where}, entry {place}")
        for place, document in enumerate(documents, start=1)
    ]


def given_entries(text: str, faults: Faults, *, where: str = "<national>") -> list[GivenEntry]:
    """Return the entries of a text in the national form, or in the hub's own; what is wrong with the others is written down.

    Raises:
        RejectedError: it is no JSON of objects.
    """
    given = []
    for number, document in enumerate(load_objects(text, where=where), start=1):
        national = is_national(document)
        own = _own(document) if national else document
        place = EntryPlace(number, NATIONAL if national else {})
        entry, wrong = try_entry(own)
        if entry is not None:
            given.append(GivenEntry(None, entry, place))
        for told in wrong:
            key, field, reason = fault_parts(told)
            faults.add(place.fault(key, reason, field))
    return given


def load_objects(text: str, *, where: str) -> list[dict[str, Any]]:
    """Return the objects of a JSON text: an array of them, or one. Raises ``RejectedError`` where it is neither."""
    try:
        loaded = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        loaded = None
    documents = loaded if isinstance(loaded, list) else [loaded]
    if not documents or not all(isinstance(one, dict) for one in documents):
        raise RejectedError(
            "the text is no JSON object, nor an array of them", code="catalogue.json", where=where, fault=Fault.CLIENT
        )
    return documents


def is_national(document: Mapping[str, Any]) -> bool:
    """Whether an object is in the national form: it has a key that the hub's own form does not have."""
    return "shared_type" in document or "cata_code" in document


def from_national(document: Mapping[str, Any], *, where: str | None = None) -> CatalogueEntry:
    """Return the entry of one object in the national form. Raises ``RejectedError`` as ``read_entry`` does."""
    return read_entry(_own(document), names=NATIONAL, where=where)


def _own(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object in the national form as the hub has it; a key that is of neither is named so."""
    own: dict[str, Any] = {}
    for key, value in document.items():
        if key in COUNTS:
            continue
        ours = _OURS.get(key)
        own[f"{key} of the national form" if ours is None else ours] = value if ours is None else _read(ours, value)
    return own


def _read(ours: str, value: Any) -> Any:
    if ours in _LISTS and isinstance(value, str):
        return [one for one in value.split(",") if one]
    if ours == "open":
        return next((flag for flag, text in _OPEN.items() if text == value), value)
    if ours == "fields" and isinstance(value, list):
        return [_renamed(field, back=True) if isinstance(field, dict) else field for field in value]
    return value


def _renamed(field: Mapping[str, Any], *, back: bool = False) -> dict[str, Any]:
    """Return a field with its sharing keys in the other form; the rest is called the same."""
    keys = {ours: NATIONAL[ours] for ours in _FIELD_SHARING}
    if back:
        keys = {national: ours for ours, national in keys.items()}
    made = {}
    for key, value in field.items():
        name = keys.get(key, key)
        if "sharing_ways" in (key, name) and value is not None:
            value = [one for one in value.split(",") if one] if isinstance(value, str) else ",".join(value)
        made[name] = value
    return made


_FIELD_SHARING: Final = ("sharing_type", "sharing_condition", "sharing_basis_kind", "sharing_basis", "sharing_ways")
