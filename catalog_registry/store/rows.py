"""Finding rows by name, with near names told, and turning rows into records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Final, TypeVar

from sqlalchemy import SQLColumnExpression, inspect, or_, select
from sqlalchemy.orm import Session

from catalog_registry.quota import kept_quota
from catalog_registry.records import (
    ApplicationRecord,
    Cover,
    DepartmentRecord,
    GrantRecord,
    PrincipalKind,
    PrincipalRecord,
    Receiver,
    ReceiverKind,
    RegisteredResource,
    SourceRecord,
    StepRecord,
    SystemRecord,
    UnboundResource,
)
from catalog_registry.states import ApplicationState, ResourceState
from catalog_registry.store.tables import (
    Application,
    Base,
    CatalogueEntry,
    ContractVersion,
    Department,
    Grant,
    History,
    Principal,
    Resource,
    Source,
    System,
)
from schemas.catalogue import BasisKind, SharingType
from schemas.catalogue_form import read_entry
from schemas.errors import Fault, RejectedError
from schemas.resource import ResourceName
from schemas.rowfilter import kept_filter

Row = TypeVar("Row", bound=Base)
MOST_NEAR: Final = 2_000
"""Names that a near one is looked for among."""
_BEGINNING: Final = 3
_HINTS: Final = ContextVar("hints", default=True)


@contextmanager
def unhinted() -> Iterator[None]:
    """Look for no near names within: who asks over the network is not told them, and looking for them reads a whole table."""
    before = _HINTS.set(False)
    try:
        yield
    finally:
        _HINTS.reset(before)


_LISTED: Final = ("source", "resource", "grant", "principal", "application", "correction", "demand", "department", "system")
"""What a command lists: the hint of a refusal."""


def known(session: Session, table: type[Row], key: str, what: str) -> Row:
    """Return the row of a key.

    Raises:
        RejectedError: there is none; near keys are told.
    """
    row = session.get(table, key)
    if row is None:
        column = inspect(table).primary_key[0]
        raise RejectedError(
            f"there is no {what} {key[:64]!r}{_near(session, key, column)}",
            code=f"{what}.unknown",
            remedy=f"see onedoor {what} list" if what in _LISTED else None,
            fault=Fault.CLIENT,
        )
    return row


def known_principal(session: Session, text: str) -> Principal:
    """Return the principal of an id, a client id or a name. Raises ``RejectedError`` where there is none."""
    query = select(Principal).where(or_(Principal.id == text, Principal.client_id == text, Principal.name == text))
    rows = session.scalars(query).all()
    if len(rows) != 1:
        raise RejectedError(
            f"there is no principal {text[:64]!r}{_near(session, text, Principal.name)}",
            code="principal.unknown",
            remedy="see onedoor principal list",
            fault=Fault.CLIENT,
        )
    return rows[0]


def no_cycle(session: Session, code: str, parent: str | None) -> None:
    """Raise ``RejectedError`` where the parent is unknown, or is the department itself or below it."""
    above = parent
    while above is not None:
        if above == code:
            raise RejectedError(
                f"department {parent} is below {code}, so it cannot be above it",
                code="department.cycle",
                where=code,
                fault=Fault.CLIENT,
            )
        above = known(session, Department, above, "department").parent


def _near(session: Session, text: str, column: SQLColumnExpression[str]) -> str:
    """Return near names, as ``near``; what there is is read only where they are wanted.

    Of more than ``MOST_NEAR`` those are looked at that come, in their order, from the first letters of the text on.
    """
    if not _HINTS.get():
        return ""
    names = session.scalars(select(column).limit(MOST_NEAR + 1)).all()
    if len(names) > MOST_NEAR:
        names = session.scalars(select(column).where(column >= text[:_BEGINNING]).order_by(column).limit(MOST_NEAR)).all()
    return near(text, names)


def near(text: str, names: Iterable[str]) -> str:
    """Return ``; near it: a, b`` where there are near names, else nothing."""
    close = get_close_matches(text, list(names), n=3) if _HINTS.get() else ()
    return f"; near it: {', '.join(close)}" if close else ""


def department_record(row: Department) -> DepartmentRecord:
    """Return the record of a row."""
    return DepartmentRecord(row.code, row.name, row.credit_code, row.parent, row.version)


def system_record(row: System) -> SystemRecord:
    """Return the record of a row."""
    return SystemRecord(row.code, row.name, row.department, row.version)


def source_record(row: Source, department: str, keys_dir: Path | None) -> SourceRecord:
    """Return the record of a row; ``department`` is its system's."""
    return SourceRecord(
        name=row.name,
        system=row.system,
        department=department,
        connector=row.connector,
        url_shown=row.url,
        secret_ref=row.secret_ref,
        settings=dict(row.settings),
        created_at=row.created_at,
        keys_dir=keys_dir,
        version=row.version,
    )


def resource_record(row: Resource, source: SourceRecord, contract: ContractVersion) -> RegisteredResource:
    """Return the record of a row that has a contract in force."""
    return RegisteredResource(
        name=ResourceName(row.name),
        code=row.code,
        title=row.title,
        department=row.department,
        state=ResourceState(row.state),
        version=contract.version,
        row_version=row.row_version,
        source=source,
        contract_hash=contract.hash,
        odcs=contract.odcs,
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


def unbound_record(row: Resource, entry: CatalogueEntry) -> UnboundResource:
    """Return the record of a draft that has an entry in the catalogue and no contract."""
    return UnboundResource(
        name=ResourceName(row.name),
        code=row.code,
        title=row.title,
        department=row.department,
        state=ResourceState(row.state),
        row_version=row.row_version,
        entry=read_entry(entry.document, where=row.name),
        created_at=row.created_at,
        changed_at=row.changed_at,
    )


_SAID: Final = ("sharing_type", "title", "sharing_basis_kind", "sharing_basis")
COVERED: Final = tuple(CatalogueEntry.document[name].astext for name in _SAID)
"""What ``cover_record`` needs of an entry, as columns: a page of a list reads no more of it."""


def cover_record(name: str, said: Sequence[str | None]) -> Cover | None:
    """Return what others see of a resource with this entry, where it is not shared; None where it is, or has no entry.

    Args:
        name: the resource.
        said: the values of ``COVERED``.
    """
    sharing, title, kind, basis = said
    if sharing != SharingType.NOT_SHARED or title is None or kind is None or basis is None:
        return None
    return Cover(ResourceName(name), title, BasisKind(kind), basis)


def grant_record(row: Grant) -> GrantRecord:
    """Return the record of a row."""
    receiver = next(
        Receiver(kind, code)
        for kind, code in (
            (ReceiverKind.DEPARTMENT, row.receiver_department),
            (ReceiverKind.SYSTEM, row.receiver_system),
            (ReceiverKind.PRINCIPAL, row.receiver_principal),
        )
        if code is not None
    )
    return GrantRecord(
        id=row.id,
        receiver=receiver,
        resource=ResourceName(row.resource),
        fields=tuple(row.fields),
        row_filter=None if row.row_filter is None else kept_filter(row.row_filter),
        purposes=tuple(row.purposes),
        items=tuple(row.items),
        legal_basis=row.legal_basis,
        from_at=row.from_at,
        to_at=row.to_at,
        made_at=row.made_at,
        made_by=row.made_by,
        revoked_at=row.revoked_at,
        revoked_by=row.revoked_by,
        revoked_why=row.revoked_why,
        version=row.version,
        quota=kept_quota(row.quota),
    )


def grants_of(session: Session, resource: str) -> list[GrantRecord]:
    """Return all grants of a resource by id, ended ones too."""
    return [grant_record(row) for row in session.scalars(select(Grant).where(Grant.resource == resource).order_by(Grant.id))]


def application_record(row: Application) -> ApplicationRecord:
    """Return the record of a row."""
    return ApplicationRecord(
        id=row.id,
        resource=ResourceName(row.resource),
        department=row.department,
        applicant=row.applicant,
        system=row.system,
        reason=row.reason,
        scope=row.scope,
        purposes=tuple(row.purposes),
        items=tuple(row.items),
        fields=tuple(row.fields),
        row_filter=row.row_filter,
        way=row.way,
        from_at=row.from_at,
        to_at=row.to_at,
        legal_basis=row.legal_basis,
        state=ApplicationState(row.state),
        version=row.version,
        assigned=row.assigned,
        checked_by=row.checked_by,
        answered_by=row.answered_by,
        grant=row.grant_id,
        made_at=row.made_at,
        changed_at=row.changed_at,
        quota=kept_quota(row.quota),
    )


def step_record(row: History) -> StepRecord:
    """Return the record of a row."""
    return StepRecord(row.n, row.at, row.by, row.event, row.from_state, row.to_state, row.why, row.detail)


def principal_record(row: Principal) -> PrincipalRecord:
    """Return the record of a row."""
    return PrincipalRecord(
        id=row.id,
        kind=PrincipalKind(row.kind),
        name=row.name,
        department=row.department,
        system=row.system,
        roles=tuple(row.roles),
        client_id=row.client_id,
        epoch=row.epoch,
        created_at=row.created_at,
        revoked_at=row.revoked_at,
        ranges=tuple(ip_network(text) for text in row.ranges),
        version=row.version,
    )
