"""Sources: where the rows of a system are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from catalog_registry.asked import OF_SOURCES, Asked, permit
from catalog_registry.records import SourceRecord
from catalog_registry.rules import refused
from catalog_registry.secret_place import drop_secret, keep_secret, secret_reference, split_url
from catalog_registry.store.change import Part
from catalog_registry.store.rows import known, source_record
from catalog_registry.store.tables import Resource, Source, System
from schemas.resource import resource_name
from schemas.secret import Secret

_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Sources(Part):
    """Where the rows of systems are read. Passwords are in the keys folder or the environment, never in the database."""

    def add_source(
        self,
        name: str,
        url: Secret[str],
        *,
        system: str,
        connector: str | None = None,
        password_env: str | None = None,
        settings: Mapping[str, Any] | None = None,
        asked: Asked | None = None,
    ) -> SourceRecord:
        """Add a source, or give one a new URL; return it. Its password goes to the keys folder, never to the database.

        Args:
            name: as a resource's name.
            url: ``scheme://user:password@host:port/name``.
            system: code of the system that it is part of.
            connector: name of the connector; the URL's scheme where None.
            password_env: name of the variable that holds the password, instead of one in the URL.
            settings: further settings of the connector; no secret.
            asked: who asks, and the version that it decided on; None: the console.

        Raises:
            DeniedError: who asks may not.
            RejectedError: the URL is not one, the system is unknown, or two passwords are given.
        """
        resource_name(name)
        shown, password = split_url(url)
        if password is not None and password_env is not None:
            raise refused("the password is given twice: in the URL and by a variable", "source.password_twice", where=name)
        if password_env is not None and not _VARIABLE.fullmatch(password_env):
            raise refused("that is no name of an environment variable", "source.password_env", where=name)
        if password is not None and self._keys_dir is None:
            raise refused("this process has no keys folder to keep the password in", "source.no_keys_folder", where=name)
        with self._database.change() as change:
            row = change.session.get(Source, name)
            here = None if row is None else row.version
            permit(change.session, asked, "set sources", OF_SOURCES, "", here=here, thing=f"source {name}")
            known(change.session, System, system, "system")
            was = row.secret_ref if row is not None else None
            if row is None:
                row = Source(name=name, system=system, created_at=self._clock.now(), version=0)
                change.session.add(row)
            elif row.system != system:
                raise refused(f"source {name} is of system {row.system}, not {system}", "source.other_system", where=name)
            reference = f"env:{password_env}" if password_env is not None else None
            if password is not None:
                reference = secret_reference(name)
            row.url, row.secret_ref, row.settings = shown, reference, dict(settings or {})
            row.connector = connector or shown.partition(":")[0].partition("+")[0]
            row.version += 1
            change.event("source.added", name, {"system": system, "connector": row.connector})
            change.session.flush()
            record = self._source(row, change.session)
            if password is not None and self._keys_dir is not None:
                keep_secret(self._keys_dir, name, password)
        if was != reference:
            drop_secret(was, self._keys_dir)
        return record

    def source(self, name: str) -> SourceRecord:
        """Return a source; its ``url()`` has the password.

        Raises:
            RejectedError: there is none of that name; near names are told.
        """
        with self._database.read() as session:
            return self._source(known(session, Source, name, "source"), session)

    def sources(self) -> list[SourceRecord]:
        """Return all sources by name."""
        with self._database.read() as session:
            rows = session.execute(
                select(Source, System.department).join(System, System.code == Source.system).order_by(Source.name)
            )
            return [source_record(row, department, self._keys_dir) for row, department in rows]

    def remove_source(self, name: str, *, asked: Asked | None = None) -> None:
        """Forget a source and its password.

        Raises:
            DeniedError: who asks may not.
            RejectedError: it is unknown, or a resource is read from it.
        """
        with self._database.change() as change:
            row = known(change.session, Source, name, "source")
            permit(change.session, asked, "remove sources", OF_SOURCES, "", here=row.version, thing=f"source {name}")
            users = change.session.scalars(select(Resource.name).where(Resource.source == name).order_by(Resource.name)).all()
            if users:
                raise refused(f"resources are read from it: {', '.join(users[:10])}", "source.in_use", where=name)
            reference = row.secret_ref
            change.session.delete(row)
            change.event("source.removed", name, {"system": row.system})
        drop_secret(reference, self._keys_dir)

    def _source(self, row: Source, session: Session) -> SourceRecord:
        department = session.scalars(select(System.department).where(System.code == row.system)).one()
        return source_record(row, department, self._keys_dir)
