"""Ratings: a department that has or had a grant on a resource says how good it is what it gets, 1 to 5, and may change it."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from catalog_registry.acting import APPLYING, check_duty, check_version
from catalog_registry.demand_records import RatingRecord, RatingSum
from catalog_registry.records import PrincipalRecord
from catalog_registry.resources import Resources
from catalog_registry.rules import refused
from catalog_registry.store.demand_tables import Rating, RatingHistory
from catalog_registry.store.history import write_step
from catalog_registry.store.rows import known, known_principal, principal_record
from catalog_registry.store.tables import Grant, Principal, Resource, System
from schemas.errors import DeniedError, Fault
from schemas.ids import new_id

SCORES = range(1, 6)


class Ratings(Resources):
    """What departments say of what they get."""

    def rate(self, resource: str, score: int, *, by: str, version: int, comment: str = "") -> RatingRecord:
        """Rate a resource, in the name of the principal's department; return the rating that holds now.

        Args:
            resource: its name.
            score: 1 (of no use) to 5 (as needed).
            by: id, client id or name of a principal with the role ``consumer``.
            version: the version of the department's rating that was decided on; 0: there was none.
            comment: what is good or wrong; shown to the provider, so no data of people.

        Raises:
            RejectedError: the resource is unknown, the score is none, or the rating was changed meanwhile.
            DeniedError: the principal has not the role, or its department never had a grant that began, or provides it itself.
        """
        if score not in SCORES:
            raise refused("a score is 1 to 5", "rating.score")
        now = self._clock.now()
        with self._database.change() as change:
            session = change.session
            of = known(session, Resource, resource, "resource")
            who = principal_record(known_principal(session, by))
            check_duty(who, "rate", APPLYING, who.department)
            if who.department == of.department or not self._used(session, resource, who):
                raise DeniedError(
                    f"{who.department} has no grant on {resource} and never had one",
                    code="rating.not_used",
                    remedy="a department rates what it gets from another one",
                    fault=Fault.CLIENT,
                )
            row = session.scalars(_of(resource, who.department)).one_or_none()
            check_version(version, 0 if row is None else row.version, f"the rating of {resource}")
            before = None if row is None else str(row.score)
            if row is None:
                row = Rating(id=new_id("s", now), resource=resource, department=who.department, version=0)
                session.add(row)
            row.score, row.comment, row.by, row.at = score, comment.strip() or None, who.id, now
            row.version += 1
            session.flush()
            write_step(
                session,
                RatingHistory,
                row.id,
                "rate" if before is None else "change",
                n=row.version,
                at=now,
                by=who.id,
                before=before,
                after=str(score),
                why=row.comment,
            )
            told = {"resource": resource, "department": who.department, "score": score, "version": row.version, "by": who.id}
            change.event("resource.rated", resource, told)
            session.flush()
            return _record(row)

    def _used(self, session: Session, resource: str, who: PrincipalRecord) -> bool:
        """Say whether a grant on a resource began for the department, one of its systems or one of its principals."""
        receivers: ColumnElement[bool] = or_(
            Grant.receiver_department == who.department,
            Grant.receiver_system.in_(select(System.code).where(System.department == who.department)),
            Grant.receiver_principal.in_(select(Principal.id).where(Principal.department == who.department)),
        )
        began = (Grant.from_at <= self._clock.now(), or_(Grant.revoked_at.is_(None), Grant.revoked_at > Grant.from_at))
        return (
            session.scalars(select(Grant.id).where(Grant.resource == resource, receivers, *began).limit(1)).first() is not None
        )

    def ratings(self, resource: str, *, department: str | None = None) -> list[RatingRecord]:
        """Return the current ratings of a resource, by department: all, or that of one."""
        query = select(Rating).where(Rating.resource == resource).order_by(Rating.department)
        if department is not None:
            query = query.where(Rating.department == department)
        with self._database.read() as session:
            known(session, Resource, resource, "resource")
            return [_record(row) for row in session.scalars(query)]

    def rating_of(self, resource: str) -> RatingSum | None:
        """Return the mean of a resource's ratings, None where nobody rated it. One look at an index."""
        with self._database.read() as session:
            query = select(func.avg(Rating.score), func.count()).where(Rating.resource == resource)
            average, departments = session.execute(query).one()
            return None if not departments else RatingSum(round(float(average), 2), departments)

    def rating_history(self, resource: str, *, department: str | None = None) -> list[RatingRecord]:
        """Return all that was ever said of a resource, by department, oldest first: by all, or by one."""
        query = (
            select(RatingHistory, Rating.department)
            .join(Rating, Rating.id == RatingHistory.rating)
            .where(Rating.resource == resource)
            .order_by(Rating.department, RatingHistory.n)
        )
        if department is not None:
            query = query.where(Rating.department == department)
        with self._database.read() as session:
            known(session, Resource, resource, "resource")
            return [
                RatingRecord(resource, who, int(row.to_state), row.why, row.n, row.by, row.at)
                for row, who in session.execute(query)
            ]


def _of(resource: str, department: str) -> Select[Rating]:
    return select(Rating).where(Rating.resource == resource, Rating.department == department)


def _record(row: Rating) -> RatingRecord:
    return RatingRecord(row.resource, row.department, row.score, row.comment, row.version, row.by, row.at)
