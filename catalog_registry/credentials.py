"""Credentials of machines: rotated with an overlap, so that a client changes its secret without a gap; ended; last used."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import insert, or_, select, update
from sqlalchemy.orm import Session

from catalog_registry.acting import Duty
from catalog_registry.asked import OF_SECRETS, Asked, permit
from catalog_registry.credential import absorb, hashed, matches, new_secret
from catalog_registry.records import PrincipalKind, PrincipalRecord, SecretRecord
from catalog_registry.rules import refused
from catalog_registry.store.change import Change, Part
from catalog_registry.store.credential_tables import ClientSecret
from catalog_registry.store.rows import known_principal, principal_record
from catalog_registry.store.tables import Principal
from schemas.errors import DeniedError, Fault
from schemas.secret import Secret

MOST_OVERLAP: Final = timedelta(days=30)
USE_NOTED_EVERY: Final = timedelta(minutes=5)
_GOOD_AT_ONCE: Final = 2


class Credentials(Part):
    """The secrets of machines, of which at most two are good at a time."""

    def rotate_secret(
        self, principal: str, *, overlap: timedelta = timedelta(0), asked: Asked | None = None
    ) -> tuple[PrincipalRecord, Secret[str]]:
        """Give a machine a new secret; return it and the secret, which is not kept and not shown again.

        Args:
            principal: id, client id or name.
            overlap: how long the secret from before is still good; none: it and its tokens end now. One that is older ends now.
            asked: who asks, and the version that it decided on; None: the console.

        Raises:
            DeniedError: who asks may not: it is the machine itself, or makes accounts.
            RejectedError: it is unknown, no machine, revoked, or was changed meanwhile; it has roles and somebody else asks; or
                the overlap is above 30 days.
        """
        if not timedelta(0) <= overlap <= MOST_OVERLAP:
            raise refused(f"an overlap is 0 to {MOST_OVERLAP.days} days", "principal.overlap")
        secret, now = new_secret(), self._clock.now()
        secret_hash = hashed(secret)
        with self._database.change() as change:
            row = self._machine(change.session, principal, asked)
            if asked is not None and row.roles and known_principal(change.session, asked.by).id != row.id:
                raise refused(  # or one person alone could act as any machine
                    "a machine with roles changes its secret itself",
                    "principal.secret_of_roles",
                    where=row.name,
                    remedy="let the security administrator take its roles until it has a new one, or rotate it on the console",
                )
            newest, *_ = self._secrets(change.session, row.id)
            self._end(change, row, now, keep=newest.n if overlap else 0)
            if overlap:
                until = min(now + overlap, newest.ends_at or now + overlap)
                self._until(change.session, row.id, newest.n, max(until, now))
            else:
                row.epoch += 1
            change.session.execute(insert(ClientSecret).values(principal=row.id, n=newest.n + 1, hash=secret_hash, made_at=now))
            row.version += 1
            old = (now + overlap).isoformat()
            change.event("principal.secret_rotated", row.id, {"epoch": row.epoch, "old_ends_at": old})
            change.session.flush()
            return principal_record(row), secret

    def end_old_secrets(self, principal: str, *, asked: Asked | None = None) -> PrincipalRecord:
        """End every secret of a machine but the newest, and its tokens, now; return it. As ``rotate_secret``."""
        now = self._clock.now()
        with self._database.change() as change:
            row = self._machine(change.session, principal, asked)
            newest, *_ = self._secrets(change.session, row.id)
            if self._end(change, row, now, keep=newest.n):
                row.epoch += 1
                row.version += 1
                change.event("principal.old_secrets_ended", row.id, {"epoch": row.epoch})
            change.session.flush()
            return principal_record(row)

    def secrets(self, principal: str) -> list[SecretRecord]:
        """Return what is known of a principal's secrets, the newest first, ended ones too; none of them, and no hash."""
        with self._database.read() as session:
            return self._secrets(session, known_principal(session, principal).id)

    def last_used(self) -> dict[str, datetime]:
        """Return when each machine last proved itself, by its id; one that never did is not there."""
        columns = (ClientSecret.principal, ClientSecret.last_used_at)
        query = select(*columns).where(ClientSecret.last_used_at.is_not(None)).order_by(ClientSecret.last_used_at)
        with self._database.read() as session:
            return {principal: at for principal, at in session.execute(query) if at is not None}

    def check_secret(self, client_id: str, secret: Secret[str]) -> PrincipalRecord:
        """Return the machine of a client id whose secret this is. As ``proved``."""
        return self.proved(client_id, secret)[0]

    def proved(self, client_id: str, secret: Secret[str]) -> tuple[PrincipalRecord, int]:
        """Return the machine of a client id whose secret this is, and the secret's number.

        Raises:
            DeniedError: unknown client, wrong or ended secret, or revoked; which of them is neither said nor to be timed.
        """
        now = self._clock.now()
        asked = "" if "\x00" in client_id else client_id  # the database has no text with it, and nobody is called nothing
        with self._database.read() as session:
            row = session.scalars(select(Principal).where(Principal.client_id == asked)).one_or_none()
            good = (
                select(ClientSecret.n, ClientSecret.hash)
                .where(ClientSecret.principal == (row.id if row is not None else ""))
                .where(or_(ClientSecret.ends_at.is_(None), ClientSecret.ends_at > now))
                .order_by(ClientSecret.n.desc())
                .limit(_GOOD_AT_ONCE)
            )
            hashes = [(n, secret_hash) for n, secret_hash in session.execute(good)]
        found = next((n for n, secret_hash in hashes if matches(secret_hash, secret)), None)
        if row is None or found is None or row.revoked_at is not None:
            for _ in range(_GOOD_AT_ONCE - len(hashes)):
                absorb(secret)
            raise DeniedError("client or secret is wrong", code="principal.credential", fault=Fault.CLIENT)
        return principal_record(row), found

    def note_use(self, principal: str, n: int) -> bool:
        """Note that a secret was used now; False where that was noted less than five minutes ago. No change of the registry."""
        now = self._clock.now()
        before = or_(ClientSecret.last_used_at.is_(None), ClientSecret.last_used_at <= now - USE_NOTED_EVERY)
        one = update(ClientSecret).where(ClientSecret.principal == principal, ClientSecret.n == n, before)
        with self._database.write() as session:
            return bool(session.execute(one.values(last_used_at=now).returning(ClientSecret.n)).all())

    def _machine(self, session: Session, principal: str, asked: Asked | None) -> Principal:
        row = known_principal(session, principal)
        itself = asked is not None and known_principal(session, asked.by).id == row.id
        duties = (Duty("*", own=False),) if itself else OF_SECRETS
        permit(session, asked, "change secrets", duties, row.department, here=row.version, thing=row.name)
        if row.kind != PrincipalKind.MACHINE or row.revoked_at is not None:
            raise refused("only a machine that is not revoked has a secret", "principal.no_secret", where=row.name)
        return row

    def _secrets(self, session: Session, principal: str) -> list[SecretRecord]:
        columns = (ClientSecret.n, ClientSecret.made_at, ClientSecret.ends_at, ClientSecret.last_used_at)
        rows = session.execute(select(*columns).where(ClientSecret.principal == principal).order_by(ClientSecret.n.desc()))
        return [SecretRecord(*row) for row in rows]

    def _end(self, change: Change, row: Principal, now: datetime, *, keep: int) -> int:
        """End now what is good of a machine's secrets, but the one of a number; return how many that were."""
        still = or_(ClientSecret.ends_at.is_(None), ClientSecret.ends_at > now)
        ended = [s.n for s in self._secrets(change.session, row.id) if s.n != keep and (s.ends_at is None or s.ends_at > now)]
        if ended:
            one = update(ClientSecret).where(ClientSecret.principal == row.id, ClientSecret.n.in_(ended), still)
            change.session.execute(one.values(ends_at=now), execution_options={"synchronize_session": False})
        return len(ended)

    def _until(self, session: Session, principal: str, n: int, at: datetime) -> None:
        one = update(ClientSecret).where(ClientSecret.principal == principal, ClientSecret.n == n)
        session.execute(one.values(ends_at=at), execution_options={"synchronize_session": False})
