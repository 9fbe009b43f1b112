"""The registry's tables, schema ``registry``. ``tests/migration`` holds them equal to what the migrations make.

No column asks the database's clock: every instant is given. Every constraint has a name, so that a refusal can say which rule
it broke. Passwords and keys are never here: ``source.secret_ref`` says where one is, ``client_secret.hash`` is argon2's.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, ClassVar, Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from catalog_registry.states import ApplicationEvent, ApplicationState, ResourceEvent, ResourceState

SCHEMA: Final = "registry"

ADMINISTRATORS: Final = ("system_administrator", "security_administrator", "audit_administrator")
"""The three administrators of a graded system. One principal is at most one of them; the database enforces it."""

ROLES: Final = (
    "provider_editor",
    "provider_reviewer",
    "consumer",
    "registration_officer",
    "security_officer",
    "operator",
    "auditor",
    "observer",
    *ADMINISTRATORS,
)

WAYS: Final = ("api", "database", "file", "kafka")
"""How an application asks to be given the rows."""

RESOURCE_REASONED: Final = (ResourceEvent.REJECT, ResourceEvent.FREEZE, ResourceEvent.WITHDRAW)
APPLICATION_REASONED: Final = (ApplicationEvent.RETURN, ApplicationEvent.REFUSE, ApplicationEvent.HAND_OVER)
"""What is not done without a reason; the database enforces it in the history."""

WITHDRAWING: Final = ("plan_withdrawal", "call_off_withdrawal")
"""What is written of a resource that is to be withdrawn on a date; its state stays."""
QUOTA_FORM: Final = (
    "quota IS NULL OR (jsonb_typeof(quota) = 'object' AND quota <> '{}'::jsonb"
    " AND quota - ARRAY['per_day', 'per_minute', 'burst', 'rows_per_day'] = '{}'::jsonb"
    " AND NOT quota @? '$.* ? (@.type() != \"number\" || @ < 1 || @ > 1000000000 || @.floor() != @)'"
    " AND (quota ? 'per_minute' OR NOT quota ? 'burst'))"
)
"""The form of a quota: as ``catalog_registry.quota`` reads it."""


def _texts(values: Iterable[str]) -> str:
    return ", ".join(f"'{v}'" for v in values)


class Base(DeclarativeBase):
    """Maps Python's types to PostgreSQL's: text without a length, instants with a zone, JSON as jsonb."""

    metadata = MetaData(
        schema=SCHEMA,
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        },
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text(),
        datetime: DateTime(timezone=True),
        list[str]: ARRAY(Text()),
        dict[str, Any]: JSONB(none_as_null=True),
        bool: Boolean(),
    }


class Department(Base):
    """A department or a township; ``parent`` makes the tree. ``credit_code`` has been checked where there is one."""

    __tablename__ = "department"
    __table_args__ = (CheckConstraint("parent <> code", name="not_its_own_parent"),)

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    credit_code: Mapped[str | None] = mapped_column(unique=True)
    parent: Mapped[str | None] = mapped_column(ForeignKey("registry.department.code"), index=True)
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(Integer(), server_default="1")


class System(Base):
    """A system that a department runs: it holds data, or it asks for data."""

    __tablename__ = "system"

    code: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    department: Mapped[str] = mapped_column(ForeignKey("registry.department.code"), index=True)
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(Integer(), server_default="1")


class Source(Base):
    """Where a system's rows are read. ``url`` has no password; ``secret_ref`` is ``file:<path>`` or ``env:<NAME>``."""

    __tablename__ = "source"
    __table_args__ = (
        CheckConstraint("secret_ref ~ '^(file|env):.'", name="secret_ref_form"),
        CheckConstraint("url !~ '^[^/]*//[^/?#@]*:[^/?#]*@'", name="url_without_password"),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    system: Mapped[str] = mapped_column(ForeignKey("registry.system.code"), index=True)
    connector: Mapped[str]
    url: Mapped[str]
    secret_ref: Mapped[str | None]
    settings: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]
    version: Mapped[int] = mapped_column(Integer(), server_default="1")


class Resource(Base):
    """A shared resource. ``name`` is immutable and the hub's; ``code`` is the catalogue's official one, an attribute."""

    __tablename__ = "resource"
    __table_args__ = (
        CheckConstraint("name ~ '^[a-z][a-z0-9_]{0,47}$'", name="name_form"),
        CheckConstraint(f"state IN ({_texts(ResourceState)})", name="state_known"),
        CheckConstraint("state IN ('draft', 'discarded') OR version IS NOT NULL", name="reviewed_has_contract"),
        CheckConstraint("state <> 'discarded' OR version IS NULL", name="discarded_without_contract"),
        UniqueConstraint("name", "code", name="uq_resource_name_code"),
        ForeignKeyConstraint(
            ["name", "version"],
            ["registry.contract_version.resource", "registry.contract_version.version"],
            name="fk_resource_version",
            deferrable=True,
            initially="DEFERRED",
            use_alter=True,
        ),
    )

    name: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str | None] = mapped_column(unique=True)
    title: Mapped[str]
    department: Mapped[str] = mapped_column(ForeignKey("registry.department.code"), index=True)
    source: Mapped[str | None] = mapped_column(ForeignKey("registry.source.name"), index=True)
    state: Mapped[str]
    version: Mapped[str | None]
    row_version: Mapped[int] = mapped_column(Integer())
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class History(Base):
    """What was done to things of a kind; never changed. ``n`` is the version that it led to, ``of`` the column of its key."""

    __abstract__ = True
    of: ClassVar[str]

    n: Mapped[int] = mapped_column(Integer(), primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    by: Mapped[str]
    event: Mapped[str]
    from_state: Mapped[str | None]
    to_state: Mapped[str]
    why: Mapped[str | None]
    detail: Mapped[dict[str, Any] | None]


class ResourceHistory(History):
    """What was done to a resource. ``n`` is its ``row_version``."""

    __tablename__ = "resource_history"
    of = "resource"
    __table_args__ = (
        CheckConstraint(
            f"event IN ({_texts(('register', 'change', 'code', *ResourceEvent, *WITHDRAWING))})", name="event_known"
        ),
        CheckConstraint(f"event NOT IN ({_texts(RESOURCE_REASONED)}) OR coalesce(why, '') ~ '\\S'", name="has_reason"),
    )

    resource: Mapped[str] = mapped_column(ForeignKey("registry.resource.name"), primary_key=True)


class ContractVersion(Base):
    """The text of a contract as it was given. A version's text never changes; ``hash`` is its SHA-256 in hex."""

    __tablename__ = "contract_version"
    __table_args__ = (
        CheckConstraint("status IN ('draft', 'active', 'retired')", name="status_known"),
        Index("ix_contract_version_with_role", "resource", "version", postgresql_where=text("odcs LIKE '%onedoor.role%'")),
    )

    resource: Mapped[str] = mapped_column(ForeignKey("registry.resource.name"), primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    odcs: Mapped[str]
    hash: Mapped[str]
    status: Mapped[str]
    at: Mapped[datetime]
    by: Mapped[str]


class Principal(Base):
    """Who acts: a person, or a machine with a credential of its own. A higher ``epoch`` ends every token issued before.

    ``ranges`` are the networks that it may ask from, as CIDR; none: from anywhere. Its secrets are in ``client_secret``.
    """

    __tablename__ = "principal"
    __table_args__ = (
        CheckConstraint("kind IN ('person', 'machine')", name="kind_known"),
        CheckConstraint("(kind = 'machine') = (client_id IS NOT NULL)", name="machine_has_credential"),
        CheckConstraint(f"roles <@ ARRAY[{_texts(ROLES)}]::text[]", name="roles_known"),
        CheckConstraint(
            " + ".join(f"(roles @> ARRAY['{role}']::text[])::integer" for role in ADMINISTRATORS) + " <= 1",
            name="one_administrator",
        ),
        CheckConstraint(
            f"kind = 'person' OR NOT roles && ARRAY[{_texts(ADMINISTRATORS)}]::text[]", name="administrator_is_a_person"
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    name: Mapped[str] = mapped_column(unique=True)
    department: Mapped[str] = mapped_column(ForeignKey("registry.department.code"), index=True)
    system: Mapped[str | None] = mapped_column(ForeignKey("registry.system.code"), index=True)
    roles: Mapped[list[str]]
    client_id: Mapped[str | None] = mapped_column(unique=True)
    epoch: Mapped[int] = mapped_column(Integer())
    ranges: Mapped[list[str]] = mapped_column(server_default="{}")
    version: Mapped[int] = mapped_column(Integer(), server_default="1")
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class Grant(Base):
    """The right of one receiver to fields of one resource, for purposes and items, in [from_at, to_at), until revoked."""

    __tablename__ = "grant_"
    __table_args__ = (
        CheckConstraint("num_nonnulls(receiver_department, receiver_system, receiver_principal) = 1", name="one_receiver"),
        CheckConstraint("cardinality(fields) > 0", name="has_fields"),
        CheckConstraint("cardinality(purposes) + cardinality(items) > 0", name="has_purpose_or_item"),
        CheckConstraint("legal_basis ~ '\\S'", name="has_legal_basis"),
        CheckConstraint("to_at > from_at", name="interval"),
        CheckConstraint(QUOTA_FORM, name="quota_form"),
        CheckConstraint("(revoked_at IS NULL) = (revoked_by IS NULL)", name="revoked_by_somebody"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    receiver_department: Mapped[str | None] = mapped_column(ForeignKey("registry.department.code"), index=True)
    receiver_system: Mapped[str | None] = mapped_column(ForeignKey("registry.system.code"), index=True)
    receiver_principal: Mapped[str | None] = mapped_column(ForeignKey("registry.principal.id"), index=True)
    resource: Mapped[str] = mapped_column(ForeignKey("registry.resource.name"), index=True)
    fields: Mapped[list[str]]
    row_filter: Mapped[str | None]
    purposes: Mapped[list[str]]
    items: Mapped[list[str]]
    legal_basis: Mapped[str]
    from_at: Mapped[datetime]
    to_at: Mapped[datetime]
    quota: Mapped[dict[str, Any] | None]
    made_at: Mapped[datetime]
    made_by: Mapped[str]
    revoked_at: Mapped[datetime | None]
    revoked_by: Mapped[str | None]
    revoked_why: Mapped[str | None]
    version: Mapped[int] = mapped_column(Integer())


class Application(Base):
    """What a department asks for, and how far the answer is. ``assigned`` is the department whose reviewer answers.

    Whoever applied does not review, and the centre's check and the provider's answer are two persons'.
    """

    __tablename__ = "application"
    __table_args__ = (
        CheckConstraint(f"state IN ({_texts(ApplicationState)})", name="state_known"),
        CheckConstraint(f"way IN ({_texts(WAYS)})", name="way_known"),
        CheckConstraint("reason ~ '\\S'", name="has_reason"),
        CheckConstraint("cardinality(fields) > 0", name="has_fields"),
        CheckConstraint("cardinality(purposes) + cardinality(items) > 0", name="has_purpose_or_item"),
        CheckConstraint("legal_basis ~ '\\S'", name="has_legal_basis"),
        CheckConstraint("to_at > from_at", name="interval"),
        CheckConstraint(QUOTA_FORM, name="quota_form"),
        CheckConstraint("(state = 'granted') = (grant_id IS NOT NULL)", name="granted_has_grant"),
        CheckConstraint("state NOT IN ('provider_review', 'granted', 'refused') OR checked_by IS NOT NULL", name="is_checked"),
        CheckConstraint("(state IN ('granted', 'refused')) = (answered_by IS NOT NULL)", name="is_answered"),
        CheckConstraint("checked_by <> applicant", name="applicant_does_not_check"),
        CheckConstraint("answered_by <> applicant", name="applicant_does_not_answer"),
        CheckConstraint("answered_by <> checked_by", name="two_reviewers"),
        Index("ix_application_waiting", "id", postgresql_where=text("state IN ('submitted', 'provider_review')")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    resource: Mapped[str] = mapped_column(ForeignKey("registry.resource.name"), index=True)
    department: Mapped[str] = mapped_column(ForeignKey("registry.department.code"), index=True)
    applicant: Mapped[str] = mapped_column(ForeignKey("registry.principal.id"))
    system: Mapped[str | None] = mapped_column(ForeignKey("registry.system.code"))
    reason: Mapped[str]
    scope: Mapped[str | None]
    purposes: Mapped[list[str]]
    items: Mapped[list[str]]
    fields: Mapped[list[str]]
    row_filter: Mapped[str | None]
    way: Mapped[str]
    quota: Mapped[dict[str, Any] | None]
    from_at: Mapped[datetime]
    to_at: Mapped[datetime]
    legal_basis: Mapped[str]
    state: Mapped[str]
    version: Mapped[int] = mapped_column(Integer())
    assigned: Mapped[str] = mapped_column(ForeignKey("registry.department.code"), index=True)
    checked_by: Mapped[str | None] = mapped_column(ForeignKey("registry.principal.id"))
    answered_by: Mapped[str | None] = mapped_column(ForeignKey("registry.principal.id"))
    grant_id: Mapped[str | None] = mapped_column(ForeignKey("registry.grant_.id"), unique=True)
    made_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class ApplicationHistory(History):
    """What was done to an application."""

    __tablename__ = "application_history"
    of = "application"
    __table_args__ = (
        CheckConstraint(f"event IN ({_texts(('apply', *ApplicationEvent))})", name="event_known"),
        CheckConstraint(f"event NOT IN ({_texts(APPLICATION_REASONED)}) OR coalesce(why, '') ~ '\\S'", name="has_reason"),
    )

    application: Mapped[str] = mapped_column(ForeignKey("registry.application.id"), primary_key=True)


class CatalogueEntry(Base):
    """What the official catalogue says of a resource. Its key to the resource's code makes the database refuse another code.

    ``document`` is what ``schemas.catalogue_form`` writes.
    """

    __tablename__ = "catalogue_entry"
    __table_args__ = (
        CheckConstraint("version > 0", name="version"),
        CheckConstraint("document ->> 'code' = code", name="says_its_code"),
        CheckConstraint("coalesce(document ->> 'sharing_type', '') IN ('1', '2', '3')", name="sharing_type_known"),
        CheckConstraint(
            "document ->> 'sharing_type' <> '2' OR coalesce(document ->> 'sharing_condition', '') ~ '\\S'", name="has_condition"
        ),
        CheckConstraint(
            "document ->> 'sharing_type' <> '3' OR (coalesce(document ->> 'sharing_basis_kind', '') IN ('1', '2', '3', '4')"
            " AND coalesce(document ->> 'sharing_basis', '') ~ '\\S')",
            name="has_basis",
        ),
        ForeignKeyConstraint(
            ["resource", "code"], ["registry.resource.name", "registry.resource.code"], name="fk_catalogue_entry_code"
        ),
    )

    resource: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str]
    version: Mapped[int] = mapped_column(Integer())
    document: Mapped[dict[str, Any]]
    at: Mapped[datetime]
    by: Mapped[str]


class CodeSequence(Base):
    """The last number that a code of a classification was given; it only rises."""

    __tablename__ = "code_sequence"
    __table_args__ = (CheckConstraint("last > 0", name="counts"),)

    prefix: Mapped[str] = mapped_column(primary_key=True)
    last: Mapped[int] = mapped_column(BigInteger())


class ItemLicenceType(Base):
    """A licence type that a material of a service item accepts instead of paper. The hub's own table, editable."""

    __tablename__ = "item_licence_type"

    item_code: Mapped[str] = mapped_column(primary_key=True)
    material_code: Mapped[str] = mapped_column(primary_key=True)
    licence_type: Mapped[str] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    by: Mapped[str]


class Outbox(Base):
    """An event of the registry, written with its change. Every writer holds the row of ``version``, so ``n`` is commit order.

    ``payload`` is the CloudEvents data; ``id``, ``type``, ``at`` and ``key`` (the subject) are its attributes.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("n", name="uq_outbox_n"),
        Index("ix_outbox_waiting", "n", postgresql_where=text("published_at IS NULL")),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    n: Mapped[int] = mapped_column(BigInteger(), Identity(always=True))
    at: Mapped[datetime]
    topic: Mapped[str]
    key: Mapped[str]
    type: Mapped[str]
    payload: Mapped[dict[str, Any]]
    published_at: Mapped[datetime | None]


class Version(Base):
    """One row: a number that every change of the registry raises, so that caches know whether they are current."""

    __tablename__ = "version"
    __table_args__ = (CheckConstraint("one", name="one_row"),)

    one: Mapped[bool] = mapped_column(primary_key=True)
    value: Mapped[int] = mapped_column(BigInteger())
