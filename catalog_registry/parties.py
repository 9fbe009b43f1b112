"""Departments and systems: who takes part."""

from __future__ import annotations

from sqlalchemy import select

from catalog_registry.records import DepartmentRecord, SystemRecord
from catalog_registry.rules import check_code, check_said, refused
from catalog_registry.store.change import Part
from catalog_registry.store.documents import rename_department
from catalog_registry.store.rows import department_record, known, no_cycle
from catalog_registry.store.tables import Department, System
from schemas.codes import CODES


class Parties(Part):
    """Departments as a tree, and the systems that they run."""

    def ensure_department(
        self, code: str, name: str, *, credit_code: str | None = None, parent: str | None = None
    ) -> DepartmentRecord:
        """Make the department, or give it this name, credit code and place in the tree; return it.

        Raises:
            RejectedError: the code's form or the credit code's check digit is wrong, the parent is unknown or below it.
        """
        check_code(code, "department")
        check_said(name, "a department's name")
        if credit_code is not None and not CODES["credit_code"].valid(credit_code):
            raise refused("the credit code is not valid: form or check digit", "department.credit_code", where=code)
        with self._database.change() as change:
            no_cycle(change.session, code, parent)
            row = change.session.get(Department, code)
            if row is None:
                row = Department(code=code, name=name, credit_code=credit_code, parent=parent, created_at=self._clock.now())
                change.session.add(row)
                change.event("department.made", code, {"name": name, "parent": parent})
            elif (row.name, row.credit_code, row.parent) != (name, credit_code, parent):
                if row.name != name:
                    rename_department(change.session, code, row.name, name)
                row.name, row.credit_code, row.parent = name, credit_code, parent
                change.event("department.changed", code, {"name": name, "parent": parent})
            return department_record(row)

    def ensure_system(self, code: str, name: str, department: str) -> SystemRecord:
        """Make the system of a department, or give it this name; return it.

        Raises:
            RejectedError: the department is unknown, or the system is another department's.
        """
        check_code(code, "system")
        check_said(name, "a system's name")
        with self._database.change() as change:
            known(change.session, Department, department, "department")
            row = change.session.get(System, code)
            if row is None:
                row = System(code=code, name=name, department=department, created_at=self._clock.now())
                change.session.add(row)
                change.event("system.made", code, {"name": name, "department": department})
            elif row.department != department:
                raise refused(f"system {code} is of department {row.department}, not {department}", "system.other_department")
            elif row.name != name:
                row.name = name
                change.event("system.changed", code, {"name": name, "department": department})
            return SystemRecord(row.code, row.name, row.department)

    def departments(self) -> list[DepartmentRecord]:
        """Return all departments by code."""
        with self._database.read() as session:
            return [department_record(row) for row in session.scalars(select(Department).order_by(Department.code))]

    def systems(self) -> list[SystemRecord]:
        """Return all systems by code."""
        with self._database.read() as session:
            return [SystemRecord(r.code, r.name, r.department) for r in session.scalars(select(System).order_by(System.code))]
