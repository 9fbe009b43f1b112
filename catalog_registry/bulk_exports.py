"""Bulk exports of personal data: what is asked for beforehand, and approved by a second person, for one use in a short time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from catalog_registry.acting import Sight, check_duty, check_other_person, check_version
from catalog_registry.bulk_export_life import (
    DUTIES_OF_EXPORT,
    EXPORT_ASKING,
    EXPORT_LIFE,
    EXPORT_REASONED,
    ExportEvent,
    ExportState,
)
from catalog_registry.grants import Grants
from catalog_registry.records import BulkExportRecord, PrincipalRecord, ReceiverKind, StepRecord
from catalog_registry.rules import check_fields, check_said, refused
from catalog_registry.store.bulk_export_tables import BulkExport, BulkExportHistory
from catalog_registry.store.change import Change
from catalog_registry.store.history import write_step
from catalog_registry.store.rows import grant_record, known, known_principal, principal_record, step_record
from catalog_registry.store.tables import Grant, Principal, Resource, System
from schemas.ids import new_id
from schemas.resource import ResourceName
from schemas.rowfilter import parse

GOOD_FOR: Final = timedelta(hours=24)
"""How long an approval is good at most."""

_TOLD: Final[Mapping[ExportEvent, str]] = {
    ExportEvent.APPROVE: "export.approved",
    ExportEvent.REFUSE: "export.refused",
    ExportEvent.CANCEL: "export.cancelled",
    ExportEvent.USE: "export.used",
}

Act = Callable[[BulkExport, datetime], None]


class BulkExports(Grants):
    """What was asked for and how far it is. Every step is written into the history, and told, in its own transaction."""

    def ask_bulk_export(
        self,
        grant: str,
        fields: Sequence[str],
        *,
        by: str,
        purpose: str,
        reason: str,
        row_filter: str | None = None,
        principal: str | None = None,
    ) -> BulkExportRecord:
        """Ask for one answer with personal fields that has no case, or more rows than a case is enough for.

        Args:
            grant: id of the grant that allows the fields.
            fields: those that are to be given, of the grant's.
            by: id, client id or name of a ``consumer`` of the receiver's department.
            purpose: the one that the query will name.
            reason: why so many rows are needed, for whoever approves.
            row_filter: the filter that the query will have; None: none.
            principal: the account that will query; None: the one that asks.

        Raises:
            RejectedError: there is no such grant, it has ended, it does not have a field, the filter cannot be read, the
                account is of another department.
            DeniedError: the principal has not the role, or is of another department.
        """
        check_said(reason, "the reason of a bulk export")
        chosen = None if row_filter is None else parse(row_filter)
        wanted = list(dict.fromkeys(fields))
        now = self._clock.now()
        with self._database.change() as change:
            session = change.session
            who = principal_record(known_principal(session, by))
            check_duty(who, "ask for a bulk export of", EXPORT_ASKING, who.department)
            row = session.get(Grant, grant)
            if row is None or _receiving(session, row) != who.department:  # alike: another's grants are not to be found out
                raise refused("the department has no such grant", "grant.unknown")
            held = grant_record(row)
            if not (held.to_at > now and held.revoked_at is None):
                raise refused("the grant has ended", "export.grant", where=grant)
            if more := [name for name in (*wanted, *(sorted(chosen.fields) if chosen else ())) if name not in held.fields]:
                raise refused(f"the grant does not have {', '.join(n[:64] for n in more)}", "export.fields", where=grant)
            check_fields(self._shared(session, held.resource), wanted, chosen)
            if held.purposes and purpose not in held.purposes:
                raise refused("the grant is not for this purpose", "export.purpose", where=grant)
            asking = who if principal is None else _of_department(session, principal, who.department)
            if asking is None or (held.receiver.kind is ReceiverKind.PRINCIPAL and asking.id != held.receiver.code):
                raise refused("the receiver has no such account", "export.principal")
            made = BulkExport(
                id=new_id("x", now),
                grant_id=held.id,
                resource=held.resource,
                department=who.department,
                provider=known(session, Resource, held.resource, "resource").department,
                principal=asking.id,
                asked_by=who.id,
                purpose=purpose,
                fields=wanted,
                row_filter=None if chosen is None else chosen.text,
                reason=reason.strip(),
                state=ExportState.ASKED,
                version=1,
                made_at=now,
                changed_at=now,
            )
            session.add(made)
            session.flush()
            _step(change, made, "ask", "export.asked", at=now, by=who.id, before=None)
            session.flush()
            return _record(made)

    def approve_bulk_export(
        self, export: str, *, by: str, version: int, hours: int | None = None, why: str = ""
    ) -> BulkExportRecord:
        """Allow one use, for the security officer or the provider's reviewer: not who asked, nor the account that will query.

        Args:
            export: its id.
            by: id, client id or name of the principal that approves.
            version: the version that was decided on.
            hours: how long it is good, 24 at most; None: so long.
            why: a remark; it is kept.
        """
        if hours is not None and not 1 <= hours <= GOOD_FOR // timedelta(hours=1):
            raise refused(f"an approval is good for 1 to {GOOD_FOR // timedelta(hours=1)} hours", "export.hours")

        def approve(row: BulkExport, now: datetime) -> None:
            row.until = now + (GOOD_FOR if hours is None else timedelta(hours=hours))

        return self._answered(export, ExportEvent.APPROVE, by=by, version=version, why=why, act=approve)

    def refuse_bulk_export(self, export: str, *, by: str, version: int, why: str) -> BulkExportRecord:
        """Refuse it, for a reason that is kept. As ``approve_bulk_export``."""
        return self._answered(export, ExportEvent.REFUSE, by=by, version=version, why=why)

    def cancel_bulk_export(self, export: str, *, by: str, version: int, why: str = "") -> BulkExportRecord:
        """Take it back before it is used, for the department that asked, or the security officer."""
        return self._answered(export, ExportEvent.CANCEL, by=by, version=version, why=why)

    def use_bulk_export(self, export: str, *, by: str) -> BulkExportRecord:
        """Use it up, for the query that names it. Raises ``RejectedError`` (``export.state``) where it is used or over."""
        now = self._clock.now()

        def use(row: BulkExport, at: datetime) -> None:
            if row.principal != by or row.until is None or at >= row.until:
                raise refused("the bulk export is over", "export.state", where=row.id)
            row.used_at = at

        with self._database.change() as change:
            row = known(change.session, BulkExport, export, "export")
            return self._taken(change, row, ExportEvent.USE, by, "", use, now)

    def _answered(
        self, export: str, event: ExportEvent, *, by: str, version: int, why: str, act: Act | None = None
    ) -> BulkExportRecord:
        now = self._clock.now()
        with self._database.change() as change:
            row = known(change.session, BulkExport, export, "export")
            who = principal_record(known_principal(change.session, by))
            own = row.department if event is ExportEvent.CANCEL else row.provider
            check_duty(who, event, DUTIES_OF_EXPORT[event], own)
            check_version(version, row.version, row.id)
            if event is not ExportEvent.CANCEL:
                check_other_person(who, {row.principal: "would query it", row.asked_by: "asked for it"}, event)
            if event in EXPORT_REASONED:
                check_said(why, f"the reason to {event} a bulk export")
            return self._taken(change, row, event, who.id, why, act, now)

    def _taken(
        self, change: Change, row: BulkExport, event: ExportEvent, by: str, why: str, act: Act | None, now: datetime
    ) -> BulkExportRecord:
        before = ExportState(row.state)
        after = EXPORT_LIFE.advance(before, event)
        if act is not None:
            act(row, now)
        row.state, row.changed_at = after, now
        row.version += 1
        if event in (ExportEvent.APPROVE, ExportEvent.REFUSE):
            row.answered_by = by
        detail = None if row.until is None else {"until": row.until.isoformat()}
        _step(change, row, event, _TOLD[event], at=now, by=by, before=before, why=why.strip() or None, detail=detail)
        change.session.flush()
        return _record(row)

    def bulk_export(self, export: str) -> BulkExportRecord:
        """Return a bulk export. Raises ``RejectedError`` where there is none of that id."""
        with self._database.read() as session:
            return _record(known(session, BulkExport, export, "export"))

    def bulk_exports(
        self,
        *,
        state: ExportState | None = None,
        seen: Sight | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[BulkExportRecord]:
        """Return bulk exports, oldest first: all, or those in a state, those that the receiver or the provider may see."""
        query = select(BulkExport).order_by(BulkExport.id).limit(limit)
        if state is not None:
            query = query.where(BulkExport.state == state)
        if seen is not None and not seen.everything:
            query = query.where(or_(BulkExport.department == seen.department, BulkExport.provider == seen.department))
        if after is not None:
            query = query.where(BulkExport.id > after)
        with self._database.read() as session:
            return [_record(row) for row in session.scalars(query)]

    def bulk_export_history(self, export: str) -> list[StepRecord]:
        """Return what was done to a bulk export, oldest first."""
        with self._database.read() as session:
            known(session, BulkExport, export, "export")
            rows = session.scalars(
                select(BulkExportHistory).where(BulkExportHistory.bulk_export == export).order_by(BulkExportHistory.n)
            )
            return [step_record(row) for row in rows]


def _of_department(session: Session, named: str, department: str) -> PrincipalRecord | None:
    """Return the account of an id, a client id or a name, where it is the department's; alike for another's and for none."""
    query = select(Principal).where(
        or_(Principal.id == named, Principal.client_id == named, Principal.name == named),
        Principal.department == department,
        Principal.revoked_at.is_(None),
    )
    found = session.scalars(query).all()
    return principal_record(found[0]) if len(found) == 1 else None


def _receiving(session: Session, row: Grant) -> str | None:
    """Return the department that receives under a grant."""
    if row.receiver_department is not None:
        return row.receiver_department
    if row.receiver_system is not None:
        return session.get_one(System, row.receiver_system).department
    return session.get_one(Principal, row.receiver_principal).department


def _step(change: Change, row: BulkExport, event: str, told: str, **more: object) -> None:
    write_step(change.session, BulkExportHistory, row.id, event, n=row.version, after=row.state, **more)  # type: ignore[arg-type]
    change.event(
        told,
        row.id,
        {
            "grant": row.grant_id,
            "resource": row.resource,
            "department": row.department,
            "provider": row.provider,
            "state": row.state,
            "version": row.version,
            "by": more["by"],
        },
    )


def _record(row: BulkExport) -> BulkExportRecord:
    return BulkExportRecord(
        id=row.id,
        grant=row.grant_id,
        resource=ResourceName(row.resource),
        department=row.department,
        provider=row.provider,
        principal=row.principal,
        asked_by=row.asked_by,
        purpose=row.purpose,
        fields=tuple(row.fields),
        row_filter=row.row_filter,
        reason=row.reason,
        state=ExportState(row.state),
        version=row.version,
        answered_by=row.answered_by,
        until=row.until,
        used_at=row.used_at,
        made_at=row.made_at,
        changed_at=row.changed_at,
    )
