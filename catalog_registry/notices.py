"""Notices: what each department is told of a change that takes its data away, and that it has read it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog_registry.acting import Sight, check_duty
from catalog_registry.clocks import Rule
from catalog_registry.notice_records import NoticeRecord, notice_record
from catalog_registry.open_clocks import OpenClock
from catalog_registry.records import GrantRecord, ReceiverKind
from catalog_registry.resources import Resources
from catalog_registry.revision_states import ACKNOWLEDGING, RevisionState
from catalog_registry.store.change import Change
from catalog_registry.store.notice_tables import Notice, Revision, Withdrawal
from catalog_registry.store.rows import known, known_principal, principal_record
from catalog_registry.store.tables import Principal, System
from schemas.errors import OneDoorError
from schemas.ids import new_id

NOTICE_RULE = "contract.breaking_notice"
"""The clock rule of a notice of a breaking change."""


class Notices(Resources):
    """What departments are told of what comes."""

    def acknowledge_notice(self, notice: str, *, by: str) -> NoticeRecord:
        """Say, for the department that was told, that it has read a notice; once said it stays so.

        Args:
            notice: its id.
            by: id, client id or name of a ``consumer`` of the department.

        Raises:
            RejectedError: there is no such notice.
            DeniedError: the principal has not the role, or is of another department.
        """
        with self._database.change() as change:
            row = known(change.session, Notice, notice, "notice")
            who = principal_record(known_principal(change.session, by))
            check_duty(who, "acknowledge", ACKNOWLEDGING, row.department)
            if row.acknowledged_at is None:
                row.acknowledged_at, row.acknowledged_by = self._clock.now(), who.id
                subject = {"revision": row.revision, "withdrawal": row.withdrawal}
                told = {"resource": row.resource, "department": row.department, "by": who.id} | subject
                change.event("notice.acknowledged", row.id, told)
                change.session.flush()
            return _record(change.session, row)

    def notice(self, notice: str) -> NoticeRecord:
        """Return a notice. Raises ``RejectedError`` where there is none of that id."""
        with self._database.read() as session:
            return _record(session, known(session, Notice, notice, "notice"))

    def notices(
        self,
        *,
        seen: Sight | None = None,
        department: str | None = None,
        revision: str | None = None,
        withdrawal: str | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[NoticeRecord]:
        """Return notices, oldest first: all, or those to a department, of a revision, of a withdrawal.

        Args:
            seen: only those that may be seen: to the own department.
            department: only those to it.
            revision: only those of it.
            withdrawal: only those of it.
            after: only those after this id.
            limit: so many at most.
        """
        query = (
            select(Notice, Revision, Withdrawal)
            .outerjoin(Revision, Revision.id == Notice.revision)
            .outerjoin(Withdrawal, Withdrawal.id == Notice.withdrawal)
            .order_by(Notice.id)
            .limit(limit)
        )
        if seen is not None and not seen.everything:
            query = query.where(Notice.department == seen.department)
        if after is not None:
            query = query.where(Notice.id > after)
        for column, wanted in (
            (Notice.department, department),
            (Notice.revision, revision),
            (Notice.withdrawal, withdrawal),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        with self._database.read() as session:
            return [notice_record(*row) for row in session.execute(query)]

    def open_notice_clocks(self) -> list[OpenClock]:
        """Return the clocks of what waits for an acknowledgement: those of revisions whose notice runs or is over."""
        query = (
            select(Notice, Revision.state)
            .join(Revision, Revision.id == Notice.revision)
            .where(Revision.state.in_((RevisionState.NOTICED, RevisionState.HELD)), Notice.acknowledged_at.is_(None))
            .order_by(Notice.id)
        )
        with self._database.read() as session:
            return [
                OpenClock(
                    kind="notice",
                    thing=n.id,
                    rule=NOTICE_RULE,
                    department=n.department,
                    resource=n.resource,
                    began=n.told_at,
                    title=n.resource,
                    of=n.department,
                    state=state,
                )
                for n, state in session.execute(query)
            ]

    def _tell_departments(
        self,
        change: Change,
        resource: str,
        told: Iterable[tuple[GrantRecord, Mapping[str, Any]]],
        *,
        revision: str | None = None,
        withdrawal: str | None = None,
    ) -> None:
        """Give notice to each department that has a grant among these; one that has its notice is told of no grant twice."""
        session, now = change.session, self._clock.now()
        of = Notice.revision == revision if revision is not None else Notice.withdrawal == withdrawal
        here = {row.department: row for row in session.scalars(select(Notice).where(of))}
        for department, grants in _by_department(session, told).items():
            row = here.get(department)
            if row is None:
                row = Notice(
                    id=new_id("n", now),
                    revision=revision,
                    withdrawal=withdrawal,
                    resource=resource,
                    department=department,
                    grants=grants,
                    told_at=now,
                )
                session.add(row)
            else:
                said = {one["grant"] for one in row.grants}
                more = [one for one in grants if one["grant"] not in said]
                if not more:
                    continue
                grants = more
                row.grants = [*row.grants, *more]
                row.acknowledged_at = row.acknowledged_by = None
            session.flush()
            about = {"revision": revision, "withdrawal": withdrawal}
            change.event("notice.given", row.id, {"resource": resource, "department": department, "grants": grants} | about)


def each(things: Iterable[str], do: Callable[[str], None]) -> None:
    """Do something with each thing; one that fails holds up no other, and the first error is raised when all had their turn."""
    failed: OneDoorError | None = None
    for thing in things:
        try:
            do(thing)
        except OneDoorError as error:
            failed = failed or error
    if failed is not None:
        raise failed


def department_of(session: Session, grant: GrantRecord) -> str:
    """Return the department whose people hear of a grant: the receiver, or that of the system or the account."""
    receiver = grant.receiver
    if receiver.kind is ReceiverKind.DEPARTMENT:
        return receiver.code
    if receiver.kind is ReceiverKind.SYSTEM:
        return known(session, System, receiver.code, "system").department
    return known(session, Principal, receiver.code, "principal").department


def days_of(rules: Mapping[str, Rule]) -> Rule:
    """Return the rule of a notice."""
    return rules[NOTICE_RULE]


def _by_department(session: Session, told: Iterable[tuple[GrantRecord, Mapping[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for grant, words in told:
        found[department_of(session, grant)].append(dict(words))
    return found


def _record(session: Session, row: Notice) -> NoticeRecord:
    revision = None if row.revision is None else session.get_one(Revision, row.revision)
    withdrawal = None if row.withdrawal is None else session.get_one(Withdrawal, row.withdrawal)
    return notice_record(row, revision, withdrawal)
