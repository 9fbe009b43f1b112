"""Departments and systems: who takes part."""

from __future__ import annotations

from sqlalchemy import select

from catalog_registry.asked import OF_DEPARTMENTS, OF_SYSTEMS, Asked, permit
from catalog_registry.records import DepartmentRecord, SystemRecord
from catalog_registry.rules import check_code, check_said, refused
from catalog_registry.store.change import Part
from catalog_registry.store.documents import rename_department
from catalog_registry.store.rows import department_record, known, no_cycle, system_record
from catalog_registry.store.tables import Department, System
from schemas.codes import CODES


class Parties(Part):
    """Departments as a tree, and the systems that they run."""

    def ensure_department(
        self,
        code: str,
        name: str,
        *,
        credit_code: str | None = None,
        parent: str | None = None,
        asked: Asked | None = None,
    ) -> DepartmentRecord:
        """Make the department, or give it this name, credit code and place in the tree; return it.

        Raises:
            DeniedError: who asks may not.
            RejectedError: the code's form or the credit code's check digit is wrong, the parent is unknown or below it, or who
                asks decided on another version.
        """
        with self._database.change() as change:
            row = change.session.get(Department, code)
            here = None if row is None else row.version
            permit(change.session, asked, "set departments", OF_DEPARTMENTS, code, here=here, thing=f"department {code}")
            check_code(code, "department")
            check_said(name, "a department's name")
            if credit_code is not None and not CODES["credit_code"].valid(credit_code):
                raise refused("the credit code is not valid: form or check digit", "department.credit_code", where=code)
            no_cycle(change.session, code, parent)
            if row is None:
                row = Department(
                    code=code, name=name, credit_code=credit_code, parent=parent, created_at=self._clock.now(), version=1
                )
                change.session.add(row)
                change.event("department.made", code, {"name": name, "parent": parent})
            elif (row.name, row.credit_code, row.parent) != (name, credit_code, parent):
                if row.name != name:
                    rename_department(change.session, code, row.name, name)
                row.name, row.credit_code, row.parent = name, credit_code, parent
                row.version += 1
                change.event("department.changed", code, {"name": name, "parent": parent})
            change.session.flush()
            return department_record(row)

    def ensure_system(self, code: str, name: str, department: str, *, asked: Asked | None = None) -> SystemRecord:
        """Make the system of a department, or give it this name; return it.

        Raises:
            DeniedError: who asks may not.
            RejectedError: the department is unknown, the system is another's, or who asks decided on another version.
        """
        with self._database.change() as change:
            row = change.session.get(System, code)
            here, of = (None, department) if row is None else (row.version, row.department)
            permit(change.session, asked, "set systems", OF_SYSTEMS, of, here=here, thing=f"system {code}")
            check_code(code, "system")
            check_said(name, "a system's name")
            known(change.session, Department, department, "department")
            if row is None:
                row = System(code=code, name=name, department=department, created_at=self._clock.now(), version=1)
                change.session.add(row)
                change.event("system.made", code, {"name": name, "department": department})
            elif row.department != department:
                raise refused(f"system {code} is of department {row.department}, not {department}", "system.other_department")
            elif row.name != name:
                row.name = name
                row.version += 1
                change.event("system.changed", code, {"name": name, "department": department})
            change.session.flush()
            return system_record(row)

    def department(self, code: str) -> DepartmentRecord:
        """Return a department. Raises ``RejectedError`` where there is none of that code."""
        with self._database.read() as session:
            return department_record(known(session, Department, code, "department"))

    def departments(self, *, after: str | None = None, limit: int | None = None) -> list[DepartmentRecord]:
        """Return departments by code: all, or so many after a code."""
        query = select(Department).order_by(Department.code).limit(limit)
        if after is not None:
            query = query.where(Department.code > after)
        with self._database.read() as session:
            return [department_record(row) for row in session.scalars(query)]

    def system(self, code: str) -> SystemRecord:
        """Return a system. Raises ``RejectedError`` where there is none of that code."""
        with self._database.read() as session:
            return system_record(known(session, System, code, "system"))

    def systems(self, *, after: str | None = None, limit: int | None = None) -> list[SystemRecord]:
        """Return systems by code: all, or so many after a code."""
        query = select(System).order_by(System.code).limit(limit)
        if after is not None:
            query = query.where(System.code > after)
        with self._database.read() as session:
            return [system_record(row) for row in session.scalars(query)]
