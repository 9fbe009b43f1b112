"""Withdrawals on a date: until then the resource is shared and its users have been told; then the worker takes it away."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import select

from catalog_registry.acting import DUTIES_OF_RESOURCE, check_duty, check_version
from catalog_registry.affected import consequence, ended
from catalog_registry.notice_records import WithdrawalRecord, withdrawal_record
from catalog_registry.notices import Notices, each
from catalog_registry.records import GrantRecord, PrincipalRecord
from catalog_registry.rules import check_said, refused
from catalog_registry.states import RESOURCE_LIFE, ResourceEvent, ResourceState
from catalog_registry.store.change import Change
from catalog_registry.store.documents import place_documents
from catalog_registry.store.history import end_withdrawal, resource_step
from catalog_registry.store.notice_tables import Withdrawal
from catalog_registry.store.rows import grants_of, known, known_principal, principal_record
from catalog_registry.store.tables import Resource
from schemas.clock import CHINA
from schemas.ids import new_id


class Withdrawals(Notices):
    """Resources that are to be withdrawn."""

    def plan_withdrawal(self, name: str, on: date, *, by: str, version: int, why: str) -> WithdrawalRecord:
        """Have a resource withdrawn at the first instant of a day in China, and tell those who have grants; return it.

        Args:
            name: the resource.
            on: a day after today.
            by: id, client id or name of who may withdraw it.
            version: the ``row_version`` of the resource that was decided on.
            why: the reason.

        Raises:
            RejectedError: the resource was changed meanwhile, cannot be withdrawn in its state, or is to be withdrawn already;
                the day is not to come, or the reason is missing.
            DeniedError: the principal has no role for it, or is of another department.
        """
        check_said(why, "the reason to withdraw a resource")
        now = self._clock.now()
        at = datetime.combine(on, time(), CHINA).astimezone(UTC)
        if not now < at <= now + timedelta(days=3660):
            raise refused(
                f"{on} is no day to come of the next ten years",
                "withdrawal.date",
                where=name,
                remedy="name a later day, or withdraw it at once without one",
            )
        with self._database.change() as change:
            row, who = self._resource_to_withdraw(change, name, by, version)
            RESOURCE_LIFE.advance(ResourceState(row.state), ResourceEvent.WITHDRAW)
            if (here := _to_come(change, name)) is not None:
                raise refused(
                    f"{name} is to be withdrawn on {here.at.astimezone(CHINA):%Y-%m-%d} already",
                    "withdrawal.planned",
                    where=name,
                    remedy="call that off first",
                )
            made = Withdrawal(id=new_id("w", now), resource=name, at=at, why=why.strip(), made_at=now, made_by=who.id)
            change.session.add(made)
            change.session.flush()
            self._note_withdrawal(
                change, row, "plan_withdrawal", "resource.withdrawal_planned", who.id, why, {"at": at.isoformat()}
            )
            self._tell_departments(change, name, self._grants_that_end(change, name), withdrawal=made.id)
            return withdrawal_record(made)

    def call_off_withdrawal(self, name: str, *, by: str, version: int, why: str) -> WithdrawalRecord:
        """Leave a resource shared that was to be withdrawn. As ``plan_withdrawal``."""
        check_said(why, "the reason to call a withdrawal off")
        with self._database.change() as change:
            row, who = self._resource_to_withdraw(change, name, by, version)
            ended_one = end_withdrawal(change.session, name, "called_off", at=self._clock.now(), by=who.id)
            if ended_one is None:
                raise refused(f"{name} is not to be withdrawn", "withdrawal.none", where=name)
            detail = {"at": ended_one.at.isoformat()}
            self._note_withdrawal(change, row, "call_off_withdrawal", "resource.withdrawal_called_off", who.id, why, detail)
            change.session.flush()
            return withdrawal_record(ended_one)

    def withdrawal(self, name: str) -> WithdrawalRecord | None:
        """Return the withdrawal of a resource that is to come; None where there is none."""
        with self._database.read() as session:
            query = select(Withdrawal).where(Withdrawal.resource == name, Withdrawal.outcome.is_(None))
            row = session.scalars(query).one_or_none()
            return None if row is None else withdrawal_record(row)

    def take_withdrawals(self) -> list[WithdrawalRecord]:
        """Withdraw what is to be withdrawn by now, and tell who came to use the rest; return those that were done. For the
        worker, as often as it likes: each is done once.
        """
        with self._database.read() as session:
            waiting = session.scalars(select(Withdrawal.id).where(Withdrawal.outcome.is_(None)).order_by(Withdrawal.id)).all()
        done = []

        def take(one: str) -> None:
            with self._database.change() as change:
                plan = change.session.get_one(Withdrawal, one)
                if plan.outcome is not None:  # another worker was before this one
                    return
                if self._clock.now() < plan.at:
                    ending = self._grants_that_end(change, plan.resource)
                    self._tell_departments(change, plan.resource, ending, withdrawal=plan.id)
                    return
                self._take_withdrawal(change, plan)
                done.append(withdrawal_record(plan))

        try:
            each(waiting, take)
        finally:
            if done:
                self.refresh_dags()
        return done

    def _take_withdrawal(self, change: Change, plan: Withdrawal) -> None:
        """Take the step that was decided on, in the name of who decided it."""
        row = change.session.get_one(Resource, plan.resource)
        before, now = ResourceState(row.state), self._clock.now()
        row.state = RESOURCE_LIFE.advance(before, ResourceEvent.WITHDRAW)
        end_withdrawal(change.session, row.name, "done", at=now, by=plan.made_by)
        detail = {"version": row.version, "planned_at": plan.made_at.isoformat()}
        self._note_withdrawal(
            change, row, ResourceEvent.WITHDRAW, "resource.withdrawn", plan.made_by, plan.why, detail, before=before
        )
        change.session.flush()
        place_documents(change.session, row)

    def _resource_to_withdraw(self, change: Change, name: str, by: str, version: int) -> tuple[Resource, PrincipalRecord]:
        row = known(change.session, Resource, name, "resource")
        who = principal_record(known_principal(change.session, by))
        check_duty(who, ResourceEvent.WITHDRAW, DUTIES_OF_RESOURCE[ResourceEvent.WITHDRAW], row.department)
        check_version(version, row.row_version, name)
        return row, who

    def _note_withdrawal(
        self,
        change: Change,
        row: Resource,
        event: str,
        type_: str,
        by: str,
        why: str,
        detail: Mapping[str, str | None],
        *,
        before: str | None = None,
    ) -> None:
        """Write a step into the resource's history, and tell of it."""
        row.changed_at = self._clock.now()
        row.row_version += 1
        now = row.changed_at
        resource_step(change.session, row, event, at=now, by=by, before=before or row.state, why=why.strip(), detail=detail)
        told = {"state": row.state, "department": row.department, "version": row.version, "by": by, **detail}
        change.event(type_, row.name, told)

    def _grants_that_end(self, change: Change, name: str) -> list[tuple[GrantRecord, dict[str, object]]]:
        """Return, for each grant that has not ended, that it gives nothing once the resource is withdrawn."""
        now = self._clock.now()
        return [(g, consequence(g, None, None)) for g in grants_of(change.session, name) if not ended(g, now)]


def _to_come(change: Change, name: str) -> Withdrawal | None:
    query = select(Withdrawal).where(Withdrawal.resource == name, Withdrawal.outcome.is_(None))
    return change.session.scalars(query).one_or_none()
