"""What the routes of departments, systems, sources and accounts take and give, as types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Literal

import msgspec

from catalog_registry.records import DepartmentRecord, PrincipalRecord, SecretRecord, SourceRecord, SystemRecord
from catalog_registry.store.tables import ROLES
from exchange.api.registry_forms import _Body, _Names, _Short, _Text

_NEXT: Final = "the after of the page that follows, null on the last one"


class DepartmentBody(_Body, frozen=True):
    """A department or a township, as it is to be."""

    name: Annotated[_Short, msgspec.Meta(description="what people call it")]
    credit_code: Annotated[_Short | None, msgspec.Meta(description="unified social credit code; null: it has none")] = None
    parent: Annotated[_Short | None, msgspec.Meta(description="code of the department above it; null: it is the top")] = None


class MakeDepartmentBody(DepartmentBody, frozen=True, kw_only=True):
    """A department or a township that is not there yet."""

    code: Annotated[_Short, msgspec.Meta(description="its code here: letters, digits, _ . -")]


class SystemBody(_Body, frozen=True):
    """A system that a department runs, as it is to be."""

    name: Annotated[_Short, msgspec.Meta(description="what people call it")]


class MakeSystemBody(SystemBody, frozen=True):
    """A system that is not there yet."""

    code: Annotated[_Short, msgspec.Meta(description="its code here: letters, digits, _ . -")]
    department: Annotated[_Short, msgspec.Meta(description="code of the department that runs it")]


class SourceBody(_Body, frozen=True):
    """Where a system's rows are read, as it is to be. The password is kept in the keys folder and never given back."""

    url: Annotated[_Text, msgspec.Meta(description="scheme://user:password@host:port/name")]
    settings: Annotated[Mapping[str, Any], msgspec.Meta(description="further settings of the connector; no secret")] = {}


class MakeSourceBody(SourceBody, frozen=True, kw_only=True):
    """A source that is not there yet."""

    name: Annotated[_Short, msgspec.Meta(description="a small letter, then small letters, digits or underscores")]
    system: Annotated[_Short, msgspec.Meta(description="code of the system that it is part of")]


class MakePrincipalBody(_Body, frozen=True):
    """An account that is not there yet. It has no roles: the security administrator gives them."""

    name: Annotated[_Short, msgspec.Meta(description="name of the account, not the person's")]
    kind: Annotated[Literal["person", "machine"], msgspec.Meta(description="who acts")]
    department: Annotated[_Short, msgspec.Meta(description="code of its department")]
    system: Annotated[_Short | None, msgspec.Meta(description="code of the system that a machine is part of")] = None
    ranges: Annotated[_Names, msgspec.Meta(description="networks that a machine may ask from, as CIDR; none: anywhere")] = (
        msgspec.field(default_factory=list)
    )


class RolesBody(_Body, frozen=True):
    """Exactly the roles that an account is to have."""

    roles: Annotated[_Names, msgspec.Meta(description=f"of {', '.join(ROLES)}")]


class RangesBody(_Body, frozen=True):
    """Exactly the networks that an account may ask from."""

    ranges: Annotated[_Names, msgspec.Meta(description="CIDR such as 10.2.0.0/16; none: from anywhere")]


class RotateBody(_Body, frozen=True):
    """A new secret."""

    overlap_s: Annotated[
        Annotated[int, msgspec.Meta(ge=0, le=30 * 86_400)],
        msgspec.Meta(description="seconds that the secret from before is still good; 0: it and its tokens end now"),
    ] = 0


class NothingBody(_Body, frozen=True):
    """Nothing is to be said: an empty object."""


class DepartmentAnswer(msgspec.Struct, frozen=True):
    """A department or a township."""

    code: str
    name: str
    credit_code: str | None
    parent: str | None
    version: Annotated[int, msgspec.Meta(description="raised by every change; the number in the ETag")]


class DepartmentPage(msgspec.Struct, frozen=True):
    """Some departments, by code."""

    departments: Sequence[DepartmentAnswer]
    next: Annotated[str | None, msgspec.Meta(description=_NEXT)]


class SystemAnswer(msgspec.Struct, frozen=True):
    """A system that a department runs."""

    code: str
    name: str
    department: str
    version: int


class SystemPage(msgspec.Struct, frozen=True):
    """Some systems, by code."""

    systems: Sequence[SystemAnswer]
    next: Annotated[str | None, msgspec.Meta(description=_NEXT)]


class SourceAnswer(msgspec.Struct, frozen=True):
    """A source, without its password and without where that is kept."""

    name: str
    system: str
    department: str
    connector: str
    url: Annotated[str, msgspec.Meta(description="without a password")]
    has_password: bool
    settings: Mapping[str, Any]
    created_at: datetime
    version: int


class SourcePage(msgspec.Struct, frozen=True):
    """Some sources, by name."""

    sources: Sequence[SourceAnswer]
    next: Annotated[str | None, msgspec.Meta(description=_NEXT)]


class RemovedAnswer(msgspec.Struct, frozen=True):
    """What is no longer there."""

    removed: str


class SecretAnswer(msgspec.Struct, frozen=True):
    """A secret of a machine, never the secret itself."""

    n: int
    made_at: datetime
    ends_at: Annotated[datetime | None, msgspec.Meta(description="null: it has no end yet")]
    last_used_at: Annotated[datetime | None, msgspec.Meta(description="to some minutes; null: never")]


class PrincipalLine(msgspec.Struct, frozen=True):
    """An account in a list."""

    id: str
    kind: str
    name: str
    department: str
    system: str | None
    roles: Sequence[str]
    client_id: str | None
    ranges: Sequence[str]
    created_at: datetime
    revoked_at: datetime | None
    version: int


class PrincipalAnswer(PrincipalLine, frozen=True):
    """An account; of a machine what is known of its secrets, the newest first."""

    secrets: Sequence[SecretAnswer]


class CredentialAnswer(PrincipalAnswer, frozen=True):
    """An account, and what it proves itself with."""

    client_secret: Annotated[str | None, msgspec.Meta(description="shown once, kept as a hash only; null: a person's account")]


class PrincipalPage(msgspec.Struct, frozen=True):
    """Some accounts, by id."""

    principals: Sequence[PrincipalLine]
    next: Annotated[str | None, msgspec.Meta(description=_NEXT)]


def department_answer(found: DepartmentRecord) -> DepartmentAnswer:
    """Return a department."""
    return msgspec.convert(found, DepartmentAnswer, from_attributes=True)


def system_answer(found: SystemRecord) -> SystemAnswer:
    """Return a system."""
    return msgspec.convert(found, SystemAnswer, from_attributes=True)


def source_answer(found: SourceRecord) -> SourceAnswer:
    """Return a source."""
    return SourceAnswer(
        name=found.name,
        system=found.system,
        department=found.department,
        connector=found.connector,
        url=found.url_shown,
        has_password=found.secret_ref is not None,
        settings=found.settings,
        created_at=found.created_at,
        version=found.version,
    )


def principal_line(found: PrincipalRecord) -> PrincipalLine:
    """Return an account for a list."""
    return PrincipalLine(**_line(found))


def principal_answer(found: PrincipalRecord, secrets: Sequence[SecretRecord]) -> PrincipalAnswer:
    """Return an account with what is known of its secrets."""
    return PrincipalAnswer(**_line(found), secrets=_secrets(secrets))


def credential_answer(found: PrincipalRecord, secrets: Sequence[SecretRecord], secret: str | None) -> CredentialAnswer:
    """Return an account with a new secret."""
    return CredentialAnswer(**_line(found), secrets=_secrets(secrets), client_secret=secret)


def _line(found: PrincipalRecord) -> dict[str, Any]:
    plain = {name: getattr(found, name) for name in PrincipalLine.__struct_fields__}
    return plain | {"kind": str(found.kind), "ranges": [str(network) for network in found.ranges]}


def _secrets(secrets: Sequence[SecretRecord]) -> list[SecretAnswer]:
    return [SecretAnswer(s.n, s.made_at, s.ends_at, s.last_used_at) for s in secrets]


FORMS: Final = (
    *(DepartmentBody, MakeDepartmentBody, DepartmentAnswer, DepartmentPage),
    *(SystemBody, MakeSystemBody, SystemAnswer, SystemPage),
    *(SourceBody, MakeSourceBody, SourceAnswer, SourcePage, RemovedAnswer),
    *(MakePrincipalBody, RolesBody, RangesBody, RotateBody, NothingBody),
    *(PrincipalAnswer, CredentialAnswer, PrincipalPage),
)
