"""Revisions: a new version of a shared resource's contract is proposed, reviewed, told to those it breaks, and put in force.

What breaks nobody is due at once. What breaks a grant is due when its notice is over and everybody whom it touches has
acknowledged, or the centre goes on with a reason. Until then the version before is in force, and rows are given under it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, time, timedelta
from typing import Any

from sqlalchemy import select

from catalog_registry.acting import Sight, check_duty, check_other_person, check_version
from catalog_registry.clocks import Rule, due
from catalog_registry.notice_records import RevisionRecord, revision_record
from catalog_registry.records import PrincipalRecord, StepRecord
from catalog_registry.resources import SHARED, check_way_free
from catalog_registry.revision_effect import OPEN, RevisionEffects, tell_revision, write_revision
from catalog_registry.revision_states import (
    DUTIES_OF_REVISION,
    PROPOSING,
    REVISION_LIFE,
    REVISION_REASONED,
    RevisionEvent,
    RevisionState,
)
from catalog_registry.rules import check_change, check_keyed, check_newer, check_said, content_hash, refused
from catalog_registry.store.change import Change
from catalog_registry.store.notice_tables import Notice, Revision, RevisionHistory
from catalog_registry.store.rows import known, known_principal, principal_record, step_record
from catalog_registry.store.tables import Resource
from schemas.clock import CHINA
from schemas.contract import DataContract
from schemas.errors import Fault, RejectedError
from schemas.evolution import diff
from schemas.ids import new_id
from schemas.odcs import read_contract
from schemas.workdays import Calendar


class Revisions(RevisionEffects):
    """New versions of contracts on their way into force."""

    def propose_revision(self, contract_text: str, *, by: str, why: str = "", where: str = "<contract>") -> RevisionRecord:
        """Propose a new version of a shared resource's contract, for somebody else to review; return the revision.

        Args:
            contract_text: an ODCS document.
            by: id, client id or name of a ``provider_editor`` of the resource's department.
            why: what it is for; those affected read it.
            where: name of the file or the like, for errors.

        Raises:
            RejectedError: the contract is not valid or has no key, the resource is unknown or not shared, nothing changes, the
                version is not above the one in force or too low for a breaking change, or it changes the key, the partitions
                or the department.
            DeniedError: the principal has not the role, or is of another department.
        """
        contract = read_contract(contract_text, where=where)
        with self._database.change() as change:
            row = known(change.session, Resource, contract.name, "resource")
            who = principal_record(known_principal(change.session, by))
            check_duty(who, "propose to change", PROPOSING, row.department)
            made = self._made_revision(change, row, contract, contract_text, by=who.id, why=why)
            return revision_record(made, row.department)

    def give_notice(
        self, contract_text: str, *, by: str, rule: Rule, of: Calendar, why: str = "", where: str = "<contract>"
    ) -> RevisionRecord:
        """Give notice of a breaking version, for the owner of the hub, who needs no second person; as ``propose_revision``.

        Args:
            contract_text: an ODCS document.
            by: who does it.
            rule: how long the notice lasts.
            of: the working days.
            why: what it is for; those affected read it.
            where: name of the file or the like, for errors.

        Raises:
            RejectedError: as of ``propose_revision``, or it breaks nobody, so that it needs no notice.
        """
        contract = read_contract(contract_text, where=where)
        with self._database.change() as change:
            row = known(change.session, Resource, contract.name, "resource")
            made = self._made_revision(change, row, contract, contract_text, by=by, why=why)
            if not self._begin_notice(change, row, made, contract, rule, of):
                raise refused(
                    f"version {contract.version} of {row.name} breaks nobody's grant, so it needs no notice",
                    "contract.no_notice_needed",
                    where=row.name,
                    remedy="register it: onedoor resource register FILE",
                )
            self._revision_step(change, made, RevisionEvent.GIVE_NOTICE, by=by, department=row.department)
            return revision_record(made, row.department)

    def approve_revision(
        self, revision: str, *, by: str, version: int, rule: Rule, of: Calendar, why: str = ""
    ) -> RevisionRecord:
        """Agree to a revision: what breaks nobody is due now, and of what does those affected are given notice.

        Args:
            revision: its id.
            by: id, client id or name of a ``provider_reviewer`` of the resource's department, or of a registration officer; not
                who proposed it.
            version: the version of the revision that was decided on.
            rule: how long a notice lasts.
            of: the working days.
            why: a remark; it is kept.

        Raises:
            RejectedError: it was changed meanwhile, is not proposed any more, another version went into force since
                (``revision.outdated``), or another one is on its way (``contract.on_its_way``).
            DeniedError: the principal has no role for it, is of another department, or proposed it.
        """

        def act(change: Change, row: Revision, resource: Resource) -> RevisionEvent:
            if row.from_version != resource.version:
                raise refused(
                    f"it changes version {row.from_version}, and {resource.version} is in force by now",
                    "revision.outdated",
                    where=row.id,
                    remedy="withdraw it, and propose it against what is in force",
                )
            check_way_free(change.session, resource.name)
            contract = read_contract(row.odcs, where=row.id)
            told = self._begin_notice(change, resource, row, contract, rule, of)
            return RevisionEvent.GIVE_NOTICE if told else RevisionEvent.APPROVE

        return self._take_revision(revision, RevisionEvent.APPROVE, by=by, version=version, why=why, act=act)

    def reject_revision(self, revision: str, *, by: str, version: int, why: str) -> RevisionRecord:
        """Refuse a revision that somebody else proposed. As ``approve_revision``."""
        return self._take_revision(revision, RevisionEvent.REJECT, by=by, version=version, why=why)

    def go_on_with_revision(self, revision: str, *, by: str, version: int, why: str) -> RevisionRecord:
        """Decide, for the centre, that one whose notice is over takes effect though somebody did not acknowledge."""
        return self._take_revision(revision, RevisionEvent.GO_ON, by=by, version=version, why=why)

    def withdraw_revision(self, revision: str, *, by: str, version: int, why: str) -> RevisionRecord:
        """Take a revision back before it is in force, for the provider or the centre. Those who were told are told again."""
        return self._take_revision(revision, RevisionEvent.WITHDRAW, by=by, version=version, why=why)

    def revision(self, revision: str) -> RevisionRecord:
        """Return a revision. Raises ``RejectedError`` where there is none of that id."""
        with self._database.read() as session:
            row = known(session, Revision, revision, "revision")
            return revision_record(row, session.get_one(Resource, row.resource).department)

    def revisions(
        self,
        *,
        resource: str | None = None,
        state: RevisionState | None = None,
        seen: Sight | None = None,
        after: str | None = None,
        limit: int | None = None,
    ) -> list[RevisionRecord]:
        """Return revisions, oldest first: all, or those of a resource, or in a state.

        Args:
            resource: only those of it.
            state: only those in it.
            seen: only those that may be seen: of the own department's resources, or told to the own department.
            after: only those after this id.
            limit: so many at most.
        """
        query = (
            select(Revision, Resource.department)
            .join(Resource, Resource.name == Revision.resource)
            .order_by(Revision.id)
            .limit(limit)
        )
        if seen is not None and not seen.everything:
            told = select(Notice.revision).where(Notice.department == seen.department, Notice.revision.is_not(None))
            query = query.where((Resource.department == seen.department) | Revision.id.in_(told))
        if after is not None:
            query = query.where(Revision.id > after)
        if resource is not None:
            query = query.where(Revision.resource == resource)
        if state is not None:
            query = query.where(Revision.state == state)
        with self._database.read() as session:
            return [revision_record(row, department) for row, department in session.execute(query)]

    def revision_consequences(self, revision: str) -> list[dict[str, Any]]:
        """Return what would become of each grant that a revision breaks, as things are now; nothing once it is at its end."""
        with self._database.read() as session:
            row = known(session, Revision, revision, "revision")
            if row.state not in OPEN:
                return []
            contract = read_contract(row.odcs, where=row.id)
            _, touched = self._touched_by(session, session.get_one(Resource, row.resource), contract)
            return [words for _, words in touched]

    def revision_history(self, revision: str) -> list[StepRecord]:
        """Return what was done to a revision, oldest first."""
        with self._database.read() as session:
            known(session, Revision, revision, "revision")
            query = select(RevisionHistory).where(RevisionHistory.revision == revision).order_by(RevisionHistory.n)
            return [step_record(row) for row in session.scalars(query)]

    # What the steps share ---------------------------------------------------------------------------------------------

    def _made_revision(
        self, change: Change, resource: Resource, contract: DataContract, text: str, *, by: str, why: str
    ) -> Revision:
        check_keyed(contract)
        if resource.state not in SHARED:
            raise refused(
                f"resource {resource.name} is {resource.state}, so its contract is no one's yet or any more",
                "revision.not_shared",
                where=resource.name,
                remedy="register the contract of a draft again instead",
            )
        self._belongs(change.session, contract)
        if contract.department != resource.department:
            raise refused(
                f"resource {resource.name} is of {resource.department}, not of {contract.department}",
                "contract.other_department",
                where=resource.name,
            )
        check_way_free(change.session, resource.name)
        before = self._in_force(change.session, resource)
        evolution = diff(before, contract)
        if not evolution.changes:
            raise refused(f"nothing of {resource.name} changes", "contract.unchanged", where=resource.name)
        check_newer(contract, before.version)
        check_change(before, contract)
        if evolution.breaking and evolution.least_version is not None and not evolution.version_suffices:
            raise RejectedError(
                f"a breaking change of {before.version} is version {evolution.least_version} at least, not {contract.version}",
                code="contract.version_level",
                where=resource.name,
                remedy="raise the contract's version",
                fault=Fault.PROVIDER,
            )
        now = self._clock.now()
        row = Revision(
            id=new_id("r", now),
            resource=resource.name,
            from_version=before.version,
            to_version=contract.version,
            odcs=text,
            hash=content_hash(contract),
            breaking=evolution.breaking,
            changes=[changed_json(one) for one in evolution.changes],
            why=why.strip() or None,
            state=RevisionState.PROPOSED,
            version=1,
            made_by=by,
            made_at=now,
            changed_at=now,
            provisional=False,
        )
        change.session.add(row)
        change.session.flush()
        write_revision(change, row, "propose", at=now, by=by, before=None, why=row.why, detail=None)
        tell_revision(change, row, "revision.proposed", by, resource.department)
        return row

    def _begin_notice(
        self, change: Change, resource: Resource, row: Revision, contract: DataContract, rule: Rule, of: Calendar
    ) -> bool:
        """Begin the notice where somebody is affected, and say whether it was begun."""
        _, touched = self._touched_by(change.session, resource, contract)
        if not touched:
            return False
        now = self._clock.now()
        end = due(rule, now, (), now, of)
        assert end.at is not None  # only a pause leaves the last day open
        row.noticed_at, row.provisional = now, end.provisional
        row.ends_at = datetime.combine(end.at + timedelta(days=1), time(), CHINA).astimezone(UTC)
        self._tell_departments(change, resource.name, touched, revision=row.id)
        return True

    def _take_revision(
        self,
        revision: str,
        event: RevisionEvent,
        *,
        by: str,
        version: int,
        why: str,
        act: Callable[[Change, Revision, Resource], RevisionEvent] | None = None,
    ) -> RevisionRecord:
        """Take one step that somebody decided on; ``act`` says which of two it is."""
        with self._database.change() as change:
            row = known(change.session, Revision, revision, "revision")
            resource = change.session.get_one(Resource, row.resource)
            who: PrincipalRecord = principal_record(known_principal(change.session, by))
            check_duty(who, event, DUTIES_OF_REVISION[event], resource.department)
            check_version(version, row.version, row.id)
            REVISION_LIFE.advance(RevisionState(row.state), event)
            if event in REVISION_REASONED:
                check_said(why, f"the reason to {event.replace('_', ' ')} a revision")
            if event in (RevisionEvent.APPROVE, RevisionEvent.REJECT):
                check_other_person(who, {row.made_by: "proposed it"}, event)
                row.reviewed_by = who.id
            taken = event if act is None else act(change, row, resource)
            self._revision_step(change, row, taken, by=who.id, department=resource.department, why=why)
            return revision_record(row, resource.department)


def changed_json(one: Any) -> dict[str, Any]:
    """Return a change for those who are told of it, as JSON."""
    return dataclasses.asdict(one) | {"kind": str(one.kind), "title": one.title, "title_zh": one.title_zh}
