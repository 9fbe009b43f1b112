"""What the registry answers: plain values, read once, that know nothing of the database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from catalog_registry.quota import Quota
from catalog_registry.secret_place import read_secret, url_with_password
from catalog_registry.states import ApplicationState, ResourceState
from catalog_registry.term_states import DestructionState, ExportState
from schemas.catalogue import BasisKind, CatalogueEntry
from schemas.contract import DataContract
from schemas.odcs import read_contract
from schemas.resource import ResourceName
from schemas.rowfilter import Filter
from schemas.secret import Secret


@lru_cache(maxsize=4096)
def kept_contract(odcs: str, where: str) -> DataContract:
    """Return the contract of a text that the registry keeps, read once in a process: workers ask every second."""
    return read_contract(odcs, where=where, registered=True)


@dataclass(frozen=True, slots=True)
class DepartmentRecord:
    """A department or a township; ``parent`` is the code of the one above it."""

    code: str
    name: str
    credit_code: str | None
    parent: str | None
    version: int = 1


@dataclass(frozen=True, slots=True)
class SystemRecord:
    """A system that a department runs."""

    code: str
    name: str
    department: str
    version: int = 1


@dataclass(frozen=True, slots=True)
class SourceRecord:
    """Where a system's rows are read. ``url_shown`` has no password and may be printed."""

    name: str
    system: str
    department: str
    connector: str
    url_shown: str
    secret_ref: str | None
    settings: Mapping[str, Any]
    created_at: datetime
    keys_dir: Path | None = dataclass_field(default=None, repr=False, compare=False)
    version: int = 1

    def url(self) -> Secret[str]:
        """Return the URL with its password, read now from where the registry was told that it is.

        Raises:
            RejectedError: the file or the variable is not there.
        """
        if self.secret_ref is None:
            return Secret(self.url_shown)
        return url_with_password(self.url_shown, read_secret(self.secret_ref, self.keys_dir, source=self.name))


@dataclass(frozen=True)
class RegisteredResource:
    """A shared resource with the contract that is in force; ``code`` is the catalogue's official one.

    ``contract_hash`` is over the contract's content, not its layout. Every change raises ``row_version``; who changes it says
    which one the decision was made on. A draft has its newest contract here too, though nobody is shared it.
    """

    name: ResourceName
    code: str | None
    title: str
    department: str
    state: ResourceState
    version: str
    row_version: int
    contract_hash: str
    source: SourceRecord
    odcs: str = dataclass_field(repr=False)
    created_at: datetime
    changed_at: datetime

    @cached_property
    def contract(self) -> DataContract:
        """The contract in force, parsed."""
        return kept_contract(self.odcs, f"{self.name} {self.version}")


@dataclass(frozen=True, slots=True)
class UnboundResource:
    """A draft that is in the catalogue and has no contract yet: nothing is read for it, and nobody is shared it.

    ``version`` is that of the contract it has not.
    """

    name: ResourceName
    code: str | None
    title: str
    department: str
    state: ResourceState
    row_version: int
    entry: CatalogueEntry
    created_at: datetime
    changed_at: datetime
    version: None = None


@dataclass(frozen=True, slots=True)
class Cover:
    """What others see of a resource that is not shared: its name and the reason, as the catalogue says them."""

    name: ResourceName
    title: str
    basis_kind: BasisKind
    basis: str


@dataclass(frozen=True, slots=True)
class ContractVersionRecord:
    """One version of a resource's contract; ``hash`` is over its content, not its layout."""

    resource: ResourceName
    version: str
    hash: str
    status: str
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class EntryRecord:
    """What the official catalogue says of a resource. Every change raises ``version``; ``entry.code`` is the resource's."""

    resource: ResourceName
    version: int
    entry: CatalogueEntry
    at: datetime
    by: str


@dataclass(frozen=True, slots=True)
class ListedResource:
    """A resource as an export lists it; ``entry`` is None where the catalogue says nothing of it yet."""

    name: ResourceName
    title: str
    department: DepartmentRecord
    changed_at: datetime
    entry: CatalogueEntry | None


class ReceiverKind(StrEnum):
    """Who a grant may name."""

    DEPARTMENT = "department"
    SYSTEM = "system"
    PRINCIPAL = "principal"


@dataclass(frozen=True, slots=True)
class Receiver:
    """The receiver of a grant: a department with all its systems and principals, one system, or one principal."""

    kind: ReceiverKind
    code: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.code}"


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """A grant as made: good in [``from_at``, ``to_at``) until ``revoked_at``.

    Empty ``purposes``, or empty ``items``: that one does not limit; never are both empty. Only rows for which ``row_filter``
    is true; None: all rows. A filter that cannot be read, or does not fit the contract any more, lets no row through.
    """

    id: str
    receiver: Receiver
    resource: ResourceName
    fields: tuple[str, ...]
    row_filter: Filter | None
    purposes: tuple[str, ...]
    items: tuple[str, ...]
    legal_basis: str
    from_at: datetime
    to_at: datetime
    made_at: datetime
    made_by: str
    revoked_at: datetime | None
    revoked_by: str | None
    revoked_why: str | None
    version: int
    quota: Quota | None = None

    def in_force(self, now: datetime) -> bool:
        """Say whether the grant is good at an instant."""
        return self.from_at <= now < self.to_at and (self.revoked_at is None or now < self.revoked_at)


@dataclass(frozen=True, slots=True)
class ApplicationRecord:
    """What a department asks for, and how far the answer is.

    ``applicant``, ``checked_by`` and ``answered_by`` are ids of principals; ``assigned`` is the department whose reviewer
    answers. ``row_filter`` and the interval are those asked for: what was given is the grant's.
    """

    id: str
    resource: ResourceName
    department: str
    applicant: str
    system: str | None
    reason: str
    scope: str | None
    purposes: tuple[str, ...]
    items: tuple[str, ...]
    fields: tuple[str, ...]
    row_filter: str | None
    way: str
    from_at: datetime
    to_at: datetime
    legal_basis: str
    state: ApplicationState
    version: int
    assigned: str
    checked_by: str | None
    answered_by: str | None
    grant: str | None
    made_at: datetime
    changed_at: datetime
    quota: Quota | None = None


@dataclass(frozen=True, slots=True)
class DestructionRecord:
    """That what was received under a grant is to be destroyed 销毁, and how far that is.

    ``ended`` is ``expired``, ``revoked``, ``withdrawn``, or ``narrowed``: then it is over for ``fields`` only, which are
    None else. ``since`` is the instant at which it came into its state. ``sha256`` is that of ``document``, or of the
    certificate's text where there is none.
    """

    id: str
    grant: str
    resource: ResourceName
    department: str
    ended: str
    ended_at: datetime
    state: DestructionState
    since: datetime
    version: int
    certificate: str | None
    sha256: str | None
    document: str | None
    filed_by: str | None
    filed_at: datetime | None
    confirmed_by: str | None
    made_at: datetime
    changed_at: datetime
    fields: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class BulkExportRecord:
    """An answer with personal fields that was asked for beforehand, for ``principal``; good once, and before ``until``."""

    id: str
    grant: str
    resource: ResourceName
    department: str
    provider: str
    principal: str
    asked_by: str
    purpose: str
    fields: tuple[str, ...]
    row_filter: str | None
    reason: str
    state: ExportState
    version: int
    answered_by: str | None
    until: datetime | None
    used_at: datetime | None
    made_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class StepRecord:
    """One step in the life of a resource or an application: ``n`` is the version that it led to.

    ``by`` is the id of the principal, or who else did it. ``detail`` says what was given, or handed over to whom.
    """

    n: int
    at: datetime
    by: str
    event: str
    from_state: str | None
    to_state: str
    why: str | None
    detail: Mapping[str, Any] | None


class PrincipalKind(StrEnum):
    """Who acts."""

    PERSON = "person"
    MACHINE = "machine"


@dataclass(frozen=True, slots=True)
class PrincipalRecord:
    """Who acts. A token issued under a lower ``epoch`` is no longer good.

    ``ranges`` are the networks that it may ask from; none: from anywhere. Every change raises ``version``.
    """

    id: str
    kind: PrincipalKind
    name: str
    department: str
    system: str | None
    roles: tuple[str, ...]
    client_id: str | None
    epoch: int
    created_at: datetime
    revoked_at: datetime | None
    ranges: tuple[IPv4Network | IPv6Network, ...] = ()
    version: int = 1


@dataclass(frozen=True, slots=True)
class SecretRecord:
    """A secret of a machine, never the secret itself: since when it is good, until when, and when it was last used.

    ``last_used_at`` may be some minutes too early.
    """

    n: int
    made_at: datetime
    ends_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class RegistryEvent:
    """An event of the registry, waiting for the bus: CloudEvents attributes, and ``data`` without a personal value."""

    id: str
    at: datetime
    topic: str
    subject: str
    type: str
    data: Mapping[str, Any]
