"""What the routes of contracts, catalogue entries and grants take and give, as types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec

from catalog_registry.comparison import Comparison
from catalog_registry.records import GrantRecord
from exchange.api.registry_forms import _Body, _Instant, _Names, _Short, _Text

_Contract = Annotated[str, msgspec.Meta(max_length=1_000_000, pattern=r"^[^\x00]*$")]
_RECEIVER: Final = r"^(department|system|principal):[0-9A-Za-z_.-]{1,64}$"


class ContractBody(_Body, frozen=True):
    """A contract."""

    contract: Annotated[_Contract, msgspec.Meta(description="the text of an ODCS 3.1 document, YAML")]


class EntryBody(_Body, frozen=True):
    """What the official catalogue is to say of a resource."""

    entry: Annotated[Mapping[str, Any], msgspec.Meta(description="in the hub's form, or with the national keys")]


class MakeGrantBody(_Body, frozen=True):
    """A grant that no application asked for."""

    resource: Annotated[_Short, msgspec.Meta(description="name of a published resource")]
    receiver: Annotated[
        Annotated[str, msgspec.Meta(pattern=_RECEIVER)],
        msgspec.Meta(description="department:CODE, system:CODE or principal:ID"),
    ]
    fields: Annotated[_Names, msgspec.Meta(description="names of its fields")]
    legal_basis: Annotated[_Text, msgspec.Meta(description="the law or document that allows it")]
    to_at: Annotated[_Instant, msgspec.Meta(description="first instant after the interval")]
    from_at: Annotated[_Instant | None, msgspec.Meta(description="first instant of the interval; null: now")] = None
    purposes: Annotated[_Names, msgspec.Meta(description="what for, such as accept_case")] = msgspec.field(default_factory=list)
    items: Annotated[_Names, msgspec.Meta(description="codes of the service items it is for")] = msgspec.field(
        default_factory=list
    )
    row_filter: Annotated[_Text | None, msgspec.Meta(description="which rows; null: all")] = None


class RevokeBody(_Body, frozen=True):
    """The end of a grant."""

    why: Annotated[_Text, msgspec.Meta(description="the reason, which is kept")]


class VersionAnswer(msgspec.Struct, frozen=True):
    """A version of a resource's contract."""

    version: str
    status: str
    at: datetime
    by: str


class ContractAnswer(msgspec.Struct, frozen=True):
    """The contract in force, as it was registered, and the versions that there were, oldest first."""

    resource: str
    version: str
    contract: str
    versions: Sequence[VersionAnswer]


class DiffChangeAnswer(msgspec.Struct, frozen=True):
    """One change of a contract, and why it breaks who reads the rows, or does not."""

    field: str | None
    kind: str
    breaking: bool
    before: str | None
    after: str | None
    title: str
    title_zh: str
    why: str
    why_zh: str


class AffectedAnswer(msgspec.Struct, frozen=True):
    """A grant that a breaking change touches."""

    grant: str
    receiver: str
    fields: Sequence[str]
    from_at: datetime
    to_at: datetime


class DiffAnswer(msgspec.Struct, frozen=True):
    """A contract beside the version in force."""

    resource: str
    version_in_force: str
    version: str
    verdict: str
    least_version: str | None
    version_suffices: bool
    changes: Sequence[DiffChangeAnswer]
    affected: Sequence[AffectedAnswer]


class EntryAnswer(msgspec.Struct, frozen=True):
    """What the official catalogue says of a resource. Of one that is not shared, others see its name and the reason only."""

    resource: str
    version: Annotated[int, msgspec.Meta(description="0: the catalogue says nothing yet; the number in the ETag")]
    code: str | None
    entry: Annotated[Mapping[str, Any] | None, msgspec.Meta(description="in the hub's form; null: nothing yet")]


class GrantAnswer(msgspec.Struct, frozen=True):
    """A grant as made: good from ``from_at`` until before ``to_at``, until it is revoked."""

    id: str
    receiver: str
    resource: str
    fields: Sequence[str]
    row_filter: str | None
    purposes: Sequence[str]
    items: Sequence[str]
    legal_basis: str
    from_at: datetime
    to_at: datetime
    made_at: datetime
    made_by: str
    revoked_at: datetime | None
    revoked_by: str | None
    revoked_why: str | None
    version: Annotated[int, msgspec.Meta(description="the number in the ETag")]


class GrantPage(msgspec.Struct, frozen=True):
    """Some grants, by id, ended ones too."""

    grants: Sequence[GrantAnswer]
    next: Annotated[str | None, msgspec.Meta(description="the after of the page that follows, null on the last one")]


def grant_answer(found: GrantRecord) -> GrantAnswer:
    """Return a grant."""
    plain = {name: getattr(found, name) for name in GrantAnswer.__struct_fields__}
    chosen = None if found.row_filter is None else found.row_filter.text
    return GrantAnswer(**plain | {"receiver": str(found.receiver), "row_filter": chosen})


def diff_answer(compared: Comparison) -> DiffAnswer:
    """Return a contract beside the version in force."""
    evolution = compared.evolution
    return DiffAnswer(
        resource=evolution.resource,
        version_in_force=evolution.version_before,
        version=evolution.version_after,
        verdict=str(evolution.verdict),
        least_version=evolution.least_version,
        version_suffices=bool(evolution.version_suffices),
        changes=[
            DiffChangeAnswer(**{name: getattr(change, name) for name in DiffChangeAnswer.__struct_fields__})
            for change in evolution.changes
        ],
        affected=[AffectedAnswer(a.grant, str(a.receiver), a.fields, a.from_at, a.to_at) for a in compared.affected],
    )


FORMS: Final = (
    *(ContractBody, EntryBody, MakeGrantBody, RevokeBody),
    *(ContractAnswer, DiffAnswer, EntryAnswer, GrantAnswer, GrantPage),
)
