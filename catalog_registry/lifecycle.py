"""The life of a resource: submitted, reviewed, published, frozen, thawed, withdrawn; by whom, when, why."""

from __future__ import annotations

from typing import Final

from sqlalchemy import select, update

from catalog_registry.acting import DUTIES_OF_RESOURCE, check_duty, check_other_person, check_version
from catalog_registry.records import RegisteredResource, StepRecord, UnboundResource
from catalog_registry.resources import Resources, check_bound, check_kept
from catalog_registry.rules import check_said, refused
from catalog_registry.states import RESOURCE_LIFE, ResourceEvent, ResourceState
from catalog_registry.store.documents import drop_documents, place_documents
from catalog_registry.store.history import end_withdrawal, resource_step
from catalog_registry.store.rows import known, known_principal, principal_record, step_record, unbound_record
from catalog_registry.store.tables import RESOURCE_REASONED, CatalogueEntry, ContractVersion, Resource, ResourceHistory
from schemas.errors import DefectError

_TOLD: Final = {
    ResourceEvent.SUBMIT: "resource.submitted",
    ResourceEvent.PUBLISH: "resource.published",
    ResourceEvent.REJECT: "resource.rejected",
    ResourceEvent.FREEZE: "resource.frozen",
    ResourceEvent.THAW: "resource.thawed",
    ResourceEvent.WITHDRAW: "resource.withdrawn",
}


class Lifecycle(Resources):
    """What is done to a resource once it is there. Only a published one is shared; its grants allow nothing while it is not."""

    def submit_resource(self, name: str, *, by: str, version: int, why: str = "") -> RegisteredResource:
        """Give a draft, or one that was rejected, to be reviewed; its contract stays as it is. As ``act_on_resource``."""
        return self.act_on_resource(name, ResourceEvent.SUBMIT, by=by, version=version, why=why)

    def publish_resource(self, name: str, *, by: str, version: int, why: str = "") -> RegisteredResource:
        """Share a resource that was submitted by somebody else. As ``act_on_resource``."""
        return self.act_on_resource(name, ResourceEvent.PUBLISH, by=by, version=version, why=why)

    def reject_resource(self, name: str, *, by: str, version: int, why: str) -> RegisteredResource:
        """Give a resource back to the department, which may mend its contract and submit it again. As ``act_on_resource``."""
        return self.act_on_resource(name, ResourceEvent.REJECT, by=by, version=version, why=why)

    def freeze_resource(self, name: str, *, by: str, version: int, why: str) -> RegisteredResource:
        """Share a resource with nobody until it is thawed; its grants stay and allow nothing. As ``act_on_resource``."""
        return self.act_on_resource(name, ResourceEvent.FREEZE, by=by, version=version, why=why)

    def thaw_resource(self, name: str, *, by: str, version: int, why: str = "") -> RegisteredResource:
        """Share a frozen resource again, under the grants that it had. As ``act_on_resource``."""
        return self.act_on_resource(name, ResourceEvent.THAW, by=by, version=version, why=why)

    def withdraw_resource(self, name: str, *, by: str, version: int, why: str) -> RegisteredResource:
        """Share a resource with nobody any more. As ``act_on_resource``."""
        return self.act_on_resource(name, ResourceEvent.WITHDRAW, by=by, version=version, why=why)

    def discard_resource(self, name: str, *, by: str, version: int, why: str = "") -> UnboundResource:
        """Take a draft that was a mistake out of the catalogue; return what it was. Its name and its code stay its own.

        Args:
            name: the resource: a draft that no contract is bound to, so it was never submitted.
            by: id, client id or name of the principal that acts.
            version: the ``row_version`` that it decided on.
            why: a remark, which is kept.

        Raises:
            RejectedError: it has a contract (``resource.bound``), was changed meanwhile (``registry.conflict``), or there
                is none.
            DeniedError: the principal has no role for it, or is of another department.
        """
        event, now = ResourceEvent.DISCARD, self._clock.now()
        with self._database.change() as change:
            session = change.session
            row = known(session, Resource, name, "resource")
            who = principal_record(known_principal(session, by))
            check_duty(who, event, DUTIES_OF_RESOURCE[event], row.department)
            check_kept(row)
            check_version(version, row.row_version, name)
            before = ResourceState(row.state)
            after = RESOURCE_LIFE.advance(before, event)
            if row.version is not None:
                raise refused(
                    f"{name} has a contract, and only a draft without one is discarded",
                    "resource.bound",
                    where=name,
                    remedy="submit it, and have it rejected or withdrawn",
                )
            entry = session.get_one(CatalogueEntry, name)
            row.state, row.changed_at = after, now
            row.row_version += 1
            done = unbound_record(row, entry)
            said, detail = why.strip() or None, {"version": None, "code": row.code}
            resource_step(session, row, event, at=now, by=who.id, before=before, why=said, detail=detail)
            session.expunge(entry)  # the database takes it out with the state
            change.event(
                "resource.discarded", name, {"state": row.state, "department": row.department, "code": row.code, "by": who.id}
            )
            session.flush()
            drop_documents(session, [name])
        return done

    def act_on_resource(self, name: str, event: ResourceEvent, *, by: str, version: int, why: str = "") -> RegisteredResource:
        """Take one step of a resource's life; return it as it is now.

        Args:
            name: the resource.
            event: what is done.
            by: id, client id or name of the principal that acts.
            version: the ``row_version`` that it decided on.
            why: the reason; needed to reject, freeze and withdraw.

        Raises:
            RejectedError: the resource was changed meanwhile (``registry.conflict``), the step is not for the state that it is
                in, or the reason is missing.
            DeniedError: the principal has no role for it, or is of another department, or submitted what it would review.
        """
        if event is ResourceEvent.DISCARD:
            raise DefectError("a draft is discarded by discard_resource", code="resource.step")
        now = self._clock.now()
        with self._database.change() as change:
            session = change.session
            row = known(session, Resource, name, "resource")
            who = principal_record(known_principal(session, by))
            check_duty(who, event, DUTIES_OF_RESOURCE[event], row.department)
            check_version(version, row.row_version, name)
            check_bound(row)
            before = ResourceState(row.state)
            after = RESOURCE_LIFE.advance(before, event)
            if event in RESOURCE_REASONED:
                check_said(why, f"the reason to {event} a resource")
            if event in (ResourceEvent.PUBLISH, ResourceEvent.REJECT):
                submitted = select(ResourceHistory.by).where(
                    ResourceHistory.resource == name, ResourceHistory.event == ResourceEvent.SUBMIT
                )
                check_other_person(who, dict.fromkeys(session.scalars(submitted), "submitted it"), event)
            row.state, row.changed_at = after, now
            row.row_version += 1
            if event is ResourceEvent.WITHDRAW:
                end_withdrawal(session, name, "done", at=now, by=who.id)
            if event is ResourceEvent.PUBLISH:
                session.execute(
                    update(ContractVersion)
                    .where(ContractVersion.resource == name, ContractVersion.version == row.version)
                    .values(status="active")
                )
            said = why.strip() or None
            resource_step(session, row, event, at=now, by=who.id, before=before, why=said, detail={"version": row.version})
            change.event(
                _TOLD[event], name, {"state": after, "department": row.department, "version": row.version, "by": who.id}
            )
            session.flush()
            place_documents(session, row)
            done = self._registered(session, row)
        self.refresh_dags()
        return done

    def resource_history(self, name: str) -> list[StepRecord]:
        """Return what was done to a resource, oldest first. One of an older release begins with its first step since."""
        with self._database.read() as session:
            known(session, Resource, name, "resource")
            rows = session.scalars(select(ResourceHistory).where(ResourceHistory.resource == name).order_by(ResourceHistory.n))
            return [step_record(row) for row in rows]
