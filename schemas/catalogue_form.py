"""An entry of the catalogue as a flat JSON object, in and out. All that is wrong with one is told in one refusal.

Another form of the same entry, such as the national one, gives a table of its own key names and is read by the same rules.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from schemas.catalogue import (
    MAX_PREFIX,
    BasisKind,
    CatalogueEntry,
    Category,
    Channel,
    Classification,
    InformationItem,
    Level,
    Secrecy,
    Sharing,
    SharingType,
    SharingWay,
    UpdateCycle,
    is_code,
    read_classification,
)
from schemas.codes import credit_code, division_code
from schemas.form import Form, Names, choice, member, refuse, shown

KEYS: Final = (
    *("classification", "title", "code", "provider", "provider_code", "abstract", "format", "fields", "sharing_type"),
    *("sharing_condition", "sharing_basis_kind", "sharing_basis", "sharing_ways", "open", "open_condition", "update_cycle"),
    *("other_update_cycle", "published_on", "related", "channel", "secrecy", "level", "region", "service_items"),
    *("handling_items", "licence_types"),
)
"""The keys of an entry, in the order in which it is written."""
FIELD_KEYS: Final = (
    *("name", "title", "data_type", "length", "sensitivity", "secret", "primary_key", "incremental_key", "sharing_type"),
    *("sharing_condition", "sharing_basis_kind", "sharing_basis", "sharing_ways", "update_cycle"),
)
"""The keys of each of its ``fields``."""

_FIELD_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,47}")
_LINKED: Final = re.compile(r"[0-9A-Za-z]{1,50}")
_OF_FIELD: Final = re.compile(r"fields\[([0-9]+)\](?:\.(\w+))?")
_SENSITIVITIES: Final = range(1, 5)
_NOWHERE: Final = Classification(Category.BASE, "00", "000")


def read_entry(document: Mapping[str, Any], *, names: Names | None = None, where: str | None = None) -> CatalogueEntry:
    """Return the entry of a document. An official value may be given by its code or by its Chinese word.

    Args:
        document: a JSON object with ``KEYS``; a key that is null is as one that is absent.
        names: what the keys are called where the document came from, for the refusal.
        where: name of the file or the like, for the refusal.

    Raises:
        RejectedError: it is no entry (``catalogue.entry``); every field that is wrong is named, each with its reason.
    """
    entry, wrong = try_entry(document, names=names)
    refuse(wrong, "the catalogue entry", "catalogue.entry", where)
    assert entry is not None  # there is one, or a fault
    return entry


def try_entry(document: Mapping[str, Any], *, names: Names | None = None) -> tuple[CatalogueEntry | None, list[str]]:
    """Return the entry of a document, or None and each fault as ``key: reason``, of a field ``fields[2].key: reason``."""
    wrong: list[str] = []
    entry = _entry(Form(document, KEYS, wrong, names or {}))
    return (None if wrong else entry), wrong


def fault_parts(wrong: str) -> tuple[str, int | None, str]:
    """Return the key, the place in ``fields`` and the reason of a fault that ``try_entry`` told without other names."""
    called, _, reason = wrong.partition(": ")
    found = _OF_FIELD.fullmatch(called)
    return (called, None, reason) if found is None else (found[2] or "name", int(found[1]), reason)


def entry_document(entry: CatalogueEntry) -> dict[str, Any]:
    """Return an entry as the document that ``read_entry`` reads: plain values, absent ones left out."""
    said: dict[str, Any] = {
        "classification": entry.classification.prefix,
        "title": entry.title,
        "code": entry.code,
        "provider": entry.provider,
        "provider_code": entry.provider_code,
        "abstract": entry.abstract,
        "format": entry.format,
        "fields": [_field_document(field) for field in entry.fields],
        **_sharing_document(entry.sharing),
        "open": entry.open,
        "open_condition": entry.open_condition,
        "update_cycle": entry.update_cycle.value,
        "other_update_cycle": entry.other_update_cycle,
        "published_on": entry.published_on.isoformat(),
        "related": list(entry.related),
        "channel": entry.channel.value,
        "secrecy": entry.secrecy.value,
        "level": entry.level.value,
        "region": entry.region,
        "service_items": list(entry.service_items),
        "handling_items": list(entry.handling_items),
        "licence_types": list(entry.licence_types),
    }
    return _present(said)


def _field_document(field: InformationItem) -> dict[str, Any]:
    return _present(
        {
            "name": field.name,
            "title": field.title,
            "data_type": field.data_type,
            "length": field.length,
            "sensitivity": field.sensitivity,
            "secret": field.secret or None,
            "primary_key": field.primary_key or None,
            "incremental_key": field.incremental_key or None,
            **({} if field.sharing is None else _sharing_document(field.sharing)),
            "update_cycle": None if field.update_cycle is None else field.update_cycle.value,
        }
    )


def _sharing_document(sharing: Sharing) -> dict[str, Any]:
    return {
        "sharing_type": sharing.type.value,
        "sharing_condition": sharing.condition,
        "sharing_basis_kind": None if sharing.basis_kind is None else sharing.basis_kind.value,
        "sharing_basis": sharing.basis,
        "sharing_ways": [way.value for way in sharing.ways],
    }


def _present(said: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if value not in (None, [])}


def _entry(form: Form) -> CatalogueEntry:
    cycle = form.coded("update_cycle", UpdateCycle)
    open_ = form.flag("open", needed=True)
    made = CatalogueEntry(
        classification=_classification(form),
        title=form.said("title"),
        code=_code(form),
        provider=form.said("provider"),
        provider_code=_checked(form, "provider_code", credit_code, "is no unified social credit code: form or check digit"),
        abstract=form.said("abstract"),
        format=form.said("format"),
        fields=_fields(form),
        sharing=_sharing(form) or Sharing(SharingType.NOT_SHARED),
        open=open_,
        open_condition=form.text("open_condition", needed=False),
        update_cycle=cycle or UpdateCycle.OTHER,
        other_update_cycle=form.text("other_update_cycle", needed=False),
        published_on=_day(form, "published_on"),
        related=_related(form),
        channel=form.coded("channel", Channel) or Channel.GOVERNMENT_NETWORK,
        secrecy=form.coded("secrecy", Secrecy) or Secrecy.SECRET,
        level=form.coded("level", Level) or Level.COUNTY,
        region=_checked(form, "region", division_code, "is no division code: 2, 4, 6, 9 or 12 digits"),
        service_items=_linked(form, "service_items"),
        handling_items=_linked(form, "handling_items"),
        licence_types=_linked(form, "licence_types"),
    )
    if made.open_condition is not None and not open_:
        form.bad("open_condition", "stands only where the resource is open")
    if cycle is not None and (cycle is UpdateCycle.OTHER) != form.has("other_update_cycle"):
        form.bad(
            "other_update_cycle",
            "is missing: the cycle in words" if cycle is UpdateCycle.OTHER else f"stands only with {UpdateCycle.OTHER.told}",
        )
    if form.has("secrecy") and made.secrecy is Secrecy.SECRET:
        if open_:
            form.bad("open", f"a resource that is {Secrecy.SECRET} is not open")
        if made.channel is Channel.INTERNET:
            form.bad("channel", f"a resource that is {Secrecy.SECRET} is not on {Channel.INTERNET.told}")
    return made


def _sharing(form: Form, *, of_field: bool = False) -> Sharing | None:
    """Return how a resource is shared, or a field, whose ways may be the resource's; None where the type is absent."""
    kind = form.coded("sharing_type", SharingType)
    condition = form.text("sharing_condition", needed=False)
    basis_kind = form.coded("sharing_basis_kind", BasisKind, needed=False)
    basis = form.text("sharing_basis", needed=False)
    ways = tuple(member(one, SharingWay) for one in form.texts("sharing_ways"))
    if None in ways:
        form.bad("sharing_ways", f"has a way that is not one of {choice(SharingWay)}")
    if kind is None:
        return None
    for key, only in (
        ("sharing_condition", SharingType.CONDITIONAL),
        ("sharing_basis_kind", SharingType.NOT_SHARED),
        ("sharing_basis", SharingType.NOT_SHARED),
    ):
        if kind is only and not form.has(key):
            form.bad(key, f"is missing: {only.told} needs it")
        elif kind is not only and form.has(key):
            form.bad(key, f"stands only with {only.told}")
    if ways and kind is SharingType.NOT_SHARED:
        form.bad("sharing_ways", f"stands only where it is not {kind.told}")
    elif not ways and kind is not SharingType.NOT_SHARED and not of_field:
        form.bad("sharing_ways", f"is missing: {choice(SharingWay)}")
    return Sharing(kind, condition, basis_kind, basis, tuple(way for way in ways if way is not None))


_SHARING_KEYS: Final = ("sharing_type", "sharing_condition", "sharing_basis_kind", "sharing_basis", "sharing_ways")


def _fields(form: Form) -> tuple[InformationItem, ...]:
    given = form.document.get("fields")
    if not isinstance(given, list) or not given:
        form.bad("fields", "is missing: a list with at least one field" if given in (None, []) else "must be a list")
        return ()
    made = []
    names = {key: name for key, name in form.names.items() if key in _SHARING_KEYS}
    for place, document in enumerate(given):
        called = f"{form.called('fields')}[{place}]."
        if not isinstance(document, Mapping):
            form.wrong.append(f"{called[:-1]}: must be an object")
            continue
        made.append(_field(Form(document, FIELD_KEYS, form.wrong, names, called)))
    seen: set[str] = set()
    for field in made:
        if field.name and field.name in seen:
            form.bad("fields", f"{field.name} stands there twice")
        seen.add(field.name)
    return tuple(made)


def _field(form: Form) -> InformationItem:
    name = _checked(
        form,
        "name",
        lambda text: bool(_FIELD_NAME.fullmatch(text)),
        "is no name of a field: a small letter, then at most 47 small letters, digits, underscores",
    )
    if not form.has("sensitivity"):
        form.bad("sensitivity", "is missing: 1 to 4")
    return InformationItem(
        name=name,
        title=form.said("title"),
        data_type=form.said("data_type"),
        sensitivity=form.whole("sensitivity", _SENSITIVITIES) or 1,
        length=form.whole("length", range(1, 1 << 31)),
        secret=form.flag("secret"),
        primary_key=form.flag("primary_key"),
        incremental_key=form.flag("incremental_key"),
        sharing=_sharing(form, of_field=True) if any(form.has(key) for key in _SHARING_KEYS) else None,
        update_cycle=form.coded("update_cycle", UpdateCycle, needed=False),
    )


def _classification(form: Form) -> Classification:
    text = form.said("classification")
    made = read_classification(text)
    if text and made is None:
        form.bad(
            "classification",
            f"{shown(text)} is no classification: 类 1-3, 项 2 digits, 目 3 digits, then 细目, at most {MAX_PREFIX} digits",
        )
    return made or _NOWHERE


def _code(form: Form) -> str | None:
    text = form.text("code", needed=False)
    if text and not is_code(text):
        form.bad("code", f"{shown(text)} is no code: the classification, / and 6 to 12 digits")
    return text


def _related(form: Form) -> tuple[str, ...]:
    found = form.texts("related")
    if bad := [one for one in found if not is_code(one)]:
        form.bad("related", f"{shown(bad[0])} is no code of a resource")
    if form.document.get("code") in found:
        form.bad("related", "names the resource itself")
    return found


def _linked(form: Form, key: str) -> tuple[str, ...]:
    """Codes of service items or licence types: opaque, since old local codes are in use."""
    found = form.texts(key)
    if bad := [one for one in found if not _LINKED.fullmatch(one)]:
        form.bad(key, f"{shown(bad[0])} is no code: letters and digits, at most 50")
    return found


def _checked(form: Form, key: str, valid: Any, reason: str) -> str:
    text = form.said(key)
    if text and not valid(text):
        form.bad(key, f"{shown(text)} {reason}")
    return text


def _day(form: Form, key: str) -> date:
    text = form.said(key)
    try:
        return date.fromisoformat(text)
    except ValueError:
        if text:
            form.bad(key, f"{shown(text)} is no day: 2026-11-02")
        return date.min
