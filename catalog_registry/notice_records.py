"""Revisions, withdrawals to come, notices and reminders as the registry gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from datetime import date, datetime
from typing import Any

from catalog_registry.revision_states import RevisionState
from catalog_registry.store.notice_tables import Notice, Reminder, Revision, Withdrawal


@dataclass(frozen=True, slots=True)
class RevisionRecord:
    """A new version of a resource's contract on its way into force.

    ``changes`` are those against ``from_version``, each with its kind, whether it breaks, and why, in English and Chinese.
    ``ends_at`` is the first instant after the notice, ``provisional`` where a day's year has no official notice yet.
    """

    id: str
    resource: str
    department: str
    from_version: str
    to_version: str
    breaking: bool
    changes: Sequence[Mapping[str, Any]]
    why: str | None
    state: RevisionState
    version: int
    made_by: str
    reviewed_by: str | None
    made_at: datetime
    changed_at: datetime
    noticed_at: datetime | None
    ends_at: datetime | None
    provisional: bool
    odcs: str = dataclass_field(repr=False)


@dataclass(frozen=True, slots=True)
class WithdrawalRecord:
    """That a resource is withdrawn at ``at``; ``outcome`` is None while that is to come, else ``done`` or ``called_off``."""

    id: str
    resource: str
    at: datetime
    why: str
    made_at: datetime
    made_by: str
    outcome: str | None
    ended_at: datetime | None
    ended_by: str | None


@dataclass(frozen=True, slots=True)
class NoticeRecord:
    """What a department is told of a revision or of a withdrawal: when it takes effect, and what becomes of its grants.

    ``state`` is that of what it is about; ``effect_at`` the first instant at which it can be so. Each of ``grants`` has the
    fields that it has now and after it, and whether it still gives rows.
    """

    id: str
    about: str
    subject: str
    resource: str
    department: str
    state: str
    effect_at: datetime | None
    why: str | None
    grants: Sequence[Mapping[str, Any]]
    told_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None


@dataclass(frozen=True, slots=True)
class ReminderRecord:
    """That a clock was half used, on its last day but one, or over.

    ``what`` is ``half``, ``last``, ``escalated``, or ``outcome`` where the deployment's automatic outcome was refused.
    ``department`` is whom the step waits for, None where that is the centre. ``skipped`` was not told, since no worker ran.
    """

    id: str
    kind: str
    thing: str
    rule: str
    what: str
    department: str | None
    resource: str | None
    began: datetime
    at: datetime
    due: date | None
    left: int
    provisional: bool
    skipped: Sequence[str]


def revision_record(row: Revision, department: str) -> RevisionRecord:
    """Return the record of a row; ``department`` is the resource's."""
    plain = {name: getattr(row, name) for name in RevisionRecord.__dataclass_fields__ if name not in ("department", "state")}
    return RevisionRecord(department=department, state=RevisionState(row.state), **plain)


def withdrawal_record(row: Withdrawal) -> WithdrawalRecord:
    """Return the record of a row."""
    return WithdrawalRecord(**{name: getattr(row, name) for name in WithdrawalRecord.__dataclass_fields__})


def notice_record(row: Notice, revision: Revision | None, withdrawal: Withdrawal | None) -> NoticeRecord:
    """Return the record of a row, with the revision or the withdrawal that it is about."""
    if revision is not None:
        about = ("revision", revision.id, revision.state, revision.ends_at, revision.why)
    else:
        assert withdrawal is not None  # the database has one of the two
        about = ("withdrawal", withdrawal.id, withdrawal.outcome or "planned", withdrawal.at, withdrawal.why)
    kind, subject, state, effect_at, why = about
    return NoticeRecord(
        id=row.id,
        about=kind,
        subject=subject,
        resource=row.resource,
        department=row.department,
        state=state,
        effect_at=effect_at,
        why=why,
        grants=row.grants,
        told_at=row.told_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
    )


def reminder_record(row: Reminder) -> ReminderRecord:
    """Return the record of a row."""
    plain = {name: getattr(row, name) for name in ReminderRecord.__dataclass_fields__ if name != "left"}
    return ReminderRecord(left=row.left_days, **plain)
