"""Enrols the demo district in the registry: departments, systems, sources, resources, the intake platform and its grant."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.resources import files
from types import MappingProxyType
from typing import Final

from catalog_registry.records import Receiver, ReceiverKind
from catalog_registry.registry import Registry
from console.demo.agencies import AGENCIES, TOWNSHIPS
from console.demo.district import District, write_private
from console.demo.entries import entry_of
from console.demo.generator import accepted_licences
from schemas.clock import Clock
from schemas.secret import Secret

BY: Final = "demo"
INTAKE: Final = "intake"
"""The machine principal of the unified intake platform."""
PURPOSE: Final = "accept_case"
LEGAL_BASIS: Final = "政务数据共享条例（国务院令第809号）"
CREDENTIAL_NAME: Final = "intake.json"
GRANTED: Final = (
    "licence_identifier",
    "licence_type",
    "name",
    "licence_number",
    "issuer",
    "issued_on",
    "holder_name",
    "state",
    "valid_from",
    "valid_to",
    "trust_level",
)
"""What the intake platform may see of a licence; the holder's number it knows already."""

SYSTEMS: Final = MappingProxyType(
    {
        "base_data": ("基础信息库", "centre"),
        "item_catalogue": ("政务服务事项目录管理系统", "government_services"),
        "licence_store": ("电子证照库", "government_services"),
        "market_approval": ("市场监管审批系统", "market_supervision"),
        "intake_platform": ("统一申办受理平台", "government_services"),
    }
)
_SYSTEM_OF: Final = MappingProxyType(
    {
        "demo_base": "base_data",
        "demo_items": "item_catalogue",
        "demo_licences": "licence_store",
        "demo_market": "market_approval",
    }
)
RESOURCES: Final = (
    "divisions",
    "items",
    "item_implementations",
    "item_materials",
    "licence_types",
    "licences",
    "market_cases",
    "market_steps",
    "market_results",
)
PEOPLE: Final = MappingProxyType(
    {
        "wang.fang": ("market_supervision", "provider_editor"),
        "zhang.wei": ("market_supervision", "provider_reviewer"),
        "liu.yang": ("government_services", "provider_editor"),
        "chen.jie": ("government_services", "provider_reviewer"),
        "li.na": ("civil_affairs", "consumer"),
        "centre.officer": ("centre", "registration_officer"),
        "security.officer": ("centre", "security_officer"),
        "auditor": ("centre", "auditor"),
    }
)
"""Persons to act as on the console, each with the department and the role; nobody bears these accounts."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What the registry now holds of the district, and the intake platform's credential, kept in the data folder, 0600."""

    resources: tuple[str, ...]
    client_id: str
    secret: Secret[str] = field(repr=False)
    new: bool = False
    """Whether the credential was made by this call."""


def contract_text(resource: str) -> str:
    """Return the ODCS text of a resource of the demo; ``divisions`` has one of the built-in contracts."""
    package = "schemas" if resource == "divisions" else "console.demo"
    return files(package).joinpath(f"contracts/{resource}.odcs.yaml").read_text("utf-8")


def register(registry: Registry, district: District, clock: Clock) -> Enrolled:
    """Enrol the district; what is there already stays as it is, but for addresses of sources that have changed.

    The grant lets the intake platform look up licences to accept a case, for the items that accept one, for three years.

    Raises:
        RejectedError: the registry holds something else under one of these names.
    """
    people(registry)
    for code, (name, department) in SYSTEMS.items():
        registry.ensure_system(code, name, department)
    _add_sources(registry, district)
    for resource in RESOURCES:
        registry.register_resource(contract_text(resource), by=BY, where=f"{resource}.odcs.yaml")
    _enter(registry)
    items = _accept_licences(registry, district)
    enrolled = _intake(registry, district)
    _grant(registry, enrolled.client_id, items, clock)
    return enrolled


def people(registry: Registry) -> None:
    """Enrol the departments, and the persons of them who are not there yet; the roles of one who is stay as they are."""
    for agency in (*AGENCIES.values(), *TOWNSHIPS):
        registry.ensure_department(agency.code, agency.name, credit_code=agency.credit_code)
    known = {principal.name for principal in registry.principals()}
    for name, (department, role) in PEOPLE.items():
        if name not in known:
            registry.create_person(name, department, roles=(role,))


def _add_sources(registry: Registry, district: District) -> None:
    known = {source.name: source for source in registry.sources()}
    for name, url in district.sources.items():
        if name not in known or known[name].url().reveal() != url:
            registry.add_source(name, Secret(url), system=_SYSTEM_OF[name])


def _enter(registry: Registry) -> None:
    """Give the resources their entries in the official catalogue; one that is there already stays as people made it."""
    entered = {record.resource for record in registry.entries()}
    departments = {department.code: department for department in registry.departments()}
    for name in RESOURCES:
        if name not in entered:
            resource = registry.resource(name)
            registry.set_entry(name, entry_of(resource, departments[resource.department]), by=BY)


def _accept_licences(registry: Registry, district: District) -> tuple[str, ...]:
    """Return the items that accept a licence; write the hub's own table of them the first time. People may change it after."""
    wanted: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in accepted_licences(district.sizes, district.seed):
        wanted[row.item_code, row.material_code].add(row.licence_type)
    if all(principal.name != INTAKE for principal in registry.principals()):
        registry.set_licence_types(wanted, by=BY)
    return tuple(sorted({item for item, _ in wanted}))


def _intake(registry: Registry, district: District) -> Enrolled:
    """Return the intake platform's credential; a new one where there is none or where the data folder has lost it."""
    path = district.folder / CREDENTIAL_NAME
    known = {p.name: p for p in registry.principals() if p.revoked_at is None}
    if INTAKE in known and path.exists():
        kept = json.loads(path.read_text("utf-8"))
        if kept["client_id"] == known[INTAKE].client_id:
            return Enrolled(RESOURCES, kept["client_id"], Secret(kept["secret"]))
    if INTAKE in known:
        principal, secret = registry.rotate_secret(INTAKE)
    else:
        principal, secret = registry.create_machine(
            INTAKE, "government_services", system="intake_platform", roles=("consumer",)
        )
    client_id = str(principal.client_id)
    write_private(path, json.dumps({"client_id": client_id, "secret": secret.reveal()}))
    return Enrolled(RESOURCES, client_id, secret, new=True)


def _grant(registry: Registry, client_id: str, items: tuple[str, ...], clock: Clock) -> None:
    receiver = Receiver(ReceiverKind.PRINCIPAL, registry.principal(client_id).id)
    if registry.grants(resource="licences", receiver=receiver):
        return  # one that a person has revoked stays revoked
    now = clock.now()
    registry.make_grant(
        receiver,
        "licences",
        GRANTED,
        legal_basis=LEGAL_BASIS,
        from_at=now,
        to_at=now + timedelta(days=3 * 365),
        by=BY,
        purposes=(PURPOSE,),
        items=items,
    )
