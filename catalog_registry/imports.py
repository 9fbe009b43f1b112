"""Bringing the catalogue in, many resources at once: one change of the registry, an event for each resource, all or nothing.

An entry is of the resource that it names; else of the one that has its code; else of its provider's one of that title; else of
a new one, which begins as a draft without a contract 目录编制 and gets its contract later 挂接.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import islice
from typing import Any, Final, TypeVar

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from catalog_registry.acting import IMPORTING, check_duty
from catalog_registry.brought import BadPlace, EntryPlace, Faults, GivenEntry, ImportRefusedError
from catalog_registry.catalogue import Catalogue
from catalog_registry.naming import pinyin_name
from catalog_registry.records import DepartmentRecord, PrincipalRecord
from catalog_registry.resources import readable_contract
from catalog_registry.rules import misfits, provider_misfits, refused
from catalog_registry.states import ResourceState
from catalog_registry.store.change import Change
from catalog_registry.store.codes import count_code
from catalog_registry.store.documents import drop_documents
from catalog_registry.store.rows import department_record, near
from catalog_registry.store.tables import CatalogueEntry as EntryRow
from catalog_registry.store.tables import CodeSequence, ContractVersion, Department, Resource, ResourceHistory
from schemas.catalogue import CatalogueEntry, is_code, official_code, read_code
from schemas.catalogue_form import entry_document, fault_parts
from schemas.contract import DataContract
from schemas.errors import RejectedError
from schemas.odcs import read_contract

_BATCH: Final = 1_000
_MOST_SEARCHED: Final = 200
"""Unknown departments of a file that near names are looked for."""
Thing = TypeVar("Thing")


class Outcome(StrEnum):
    """What became of an entry, or a contract."""

    MADE = "made"
    CHANGED = "changed"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True)
class Taken:
    """A resource that was brought in. ``code`` is None where it is not in the catalogue."""

    name: str
    code: str | None
    title: str
    outcome: Outcome


@dataclass(frozen=True)
class Imported:
    """What was taken, in the order of the file; and what is wrong with the rest, where only what is right was to be taken."""

    taken: tuple[Taken, ...]
    faults: tuple[BadPlace, ...] = ()
    faults_count: int = 0

    @staticmethod
    def outcomes() -> tuple[Outcome, ...]:
        """Return all outcomes that there are."""
        return tuple(Outcome)

    def count(self, outcome: Outcome) -> int:
        """Return how many had an outcome."""
        return sum(one.outcome is outcome for one in self.taken)


@dataclass(slots=True)
class _Here:
    """A resource that is there, as far as an import needs it."""

    name: str
    code: str | None
    title: str
    department: str
    version: str | None
    state: str


@dataclass(slots=True)
class _Step:
    """What an entry leads to; ``here`` is None where it makes a resource."""

    given: GivenEntry
    department: str
    here: _Here | None
    name: str = ""
    code: str | None = None
    document: dict[str, Any] = field(default_factory=dict)
    outcome: Outcome = Outcome.MADE


class Imports(Catalogue):
    """Many entries, or many contracts, in one change."""

    def import_entries(
        self,
        given: Sequence[GivenEntry],
        *,
        by: str,
        who: PrincipalRecord | None = None,
        faults: Faults | None = None,
        partial: bool = False,
        check: bool = False,
    ) -> Imported:
        """Register entries of the catalogue: new ones as drafts without a contract. The same again changes nothing.

        Args:
            given: the entries, right in themselves.
            by: id of the principal, or who else did it.
            who: the principal whose rights hold; None: the operator at the console.
            faults: what is wrong with others of the same file.
            partial: take the entries that are right; else all or nothing.
            check: say what would become of them, and change nothing.

        Raises:
            ImportRefusedError: something is wrong, and not only what is right was to be taken.
            DeniedError: the principal has no role for it, or an entry is of another department.
        """
        wrong = faults or Faults()
        if who is not None:
            check_duty(who, "import resources", IMPORTING, who.department)
        if check:
            with self._database.read() as session:
                return self._checked(_Plan(session, wrong, who).of(given), wrong, partial=partial)
        with self._database.change() as change:
            steps = _Plan(change.session, wrong, who).of(given)
            done = self._checked(steps, wrong, partial=partial)
            self._write(change, [step for step in steps if step.outcome is not Outcome.UNCHANGED], by)
            return done

    def import_contracts(
        self,
        texts: Iterable[str],
        *,
        by: str,
        who: PrincipalRecord | None = None,
        state: str = "published",
        partial: bool = False,
        check: bool = False,
    ) -> Imported:
        """Register contracts, as ``register_resource`` does each, in one change.

        Raises:
            ImportRefusedError: one of them is refused, and not only what is right was to be taken.
            DeniedError: the principal has no role for it, or a contract is another department's.
        """
        if who is not None:
            check_duty(who, "import resources", IMPORTING, who.department)
        faults, taken = Faults(), []
        try:
            with self._database.change() as change:
                for number, text in enumerate(texts, start=1):
                    events = len(change.events)
                    try:
                        contract = readable_contract(text, where=f"document {number}")
                        if who is not None:
                            check_duty(who, "import resources", IMPORTING, contract.department)
                            self._check_place(change.session, contract, contract.department)
                            self._check_name(change.session, contract)
                        with change.session.begin_nested():
                            row = self._register(change, contract, text, by=by, code=None, state=state)
                    except RejectedError as error:
                        del change.events[events:]
                        faults.add(EntryPlace(number).fault("", error.message))
                        continue
                    types = {type_.rpartition(".")[2] for type_, _, _ in change.events[events:]}
                    outcome = next((o for word, o in _OUTCOMES.items() if word in types), Outcome.UNCHANGED)
                    taken.append(Taken(row.name, row.code, row.title, outcome))
                done = self._whole(taken, faults, partial=partial)
                if check:
                    raise _UndoneError
        except _UndoneError:
            return done
        self.refresh_dags()
        return done

    def _check_name(self, session: Session, contract: DataContract) -> None:
        """Raise ``RejectedError`` where a resource of another department has a contract's name; whose it is, is not told."""
        row = session.get(Resource, contract.name)
        if row is not None and row.department != contract.department:
            raise refused(
                f"there is a resource {contract.name} already, which is not {contract.department}'s", "registry.taken"
            )

    def _checked(self, steps: Sequence[_Step], wrong: Faults, *, partial: bool) -> Imported:
        taken = [
            Taken(step.name, step.code, step.given.entry.title if step.here is None else step.here.title, step.outcome)
            for step in steps
        ]
        return self._whole(taken, wrong, partial=partial)

    def _whole(self, taken: Sequence[Taken], wrong: Faults, *, partial: bool) -> Imported:
        if wrong.count and not partial:
            raise ImportRefusedError(wrong.found, wrong.count, code="catalogue.import")
        return Imported(tuple(taken), tuple(wrong.found), wrong.count)

    def _write(self, change: Change, steps: Sequence[_Step], by: str) -> None:
        """Write what the steps lead to, and the event of each."""
        session, now = change.session, self._clock.now()
        made = [step for step in steps if step.here is None]
        for some in _some(made):
            session.execute(insert(Resource), [self._new(step) for step in some])
            session.execute(insert(ResourceHistory), [_began(step, now, by) for step in some])
        for step in made:
            data = {"title": step.given.entry.title, "department": step.department, "code": step.code, "by": by}
            change.event("resource.drafted", step.name, data)
        entered: list[dict[str, Any]] = []
        for some in _some(step for step in steps if step.here is not None):
            names = [step.name for step in some]
            rows = {row.name: row for row in session.scalars(select(Resource).where(Resource.name.in_(names)))}
            entries = {row.resource: row for row in session.scalars(select(EntryRow).where(EntryRow.resource.in_(names)))}
            for step in some:
                row, entry = rows[step.name], entries.get(step.name)
                if row.version is None:
                    self._retitle(session, row, step.given.entry.title, by)
                if row.code is None:
                    self._give_code(change, row, step.code or "", by)
                if entry is None:
                    entered.append(_entered(step, now, by))
                    continue
                entry.document, entry.at, entry.by = step.document, now, by
                entry.version += 1
                change.event("catalogue.set", step.name, {"version": entry.version, "code": step.code, "by": by})
            drop_documents(session, names)
        session.flush()
        entered += [_entered(step, now, by) for step in made]
        for rows_ in _some(entered):
            session.execute(insert(EntryRow), list(rows_))
        for row_ in entered:
            change.event("catalogue.set", row_["resource"], {"version": 1, "code": row_["code"], "by": by})
        for code in _last_codes(step.code or "" for step in steps):
            count_code(session, code)

    def _new(self, step: _Step) -> dict[str, Any]:
        now = self._clock.now()
        return {
            "name": step.name,
            "code": step.code,
            "title": step.given.entry.title,
            "department": step.department,
            "source": None,
            "state": ResourceState.DRAFT.value,
            "version": None,
            "row_version": 1,
            "created_at": now,
            "changed_at": now,
        }


class _UndoneError(Exception):
    """Takes back a change that was only to be looked at."""


_OUTCOMES: Final = {"registered": Outcome.MADE, "changed": Outcome.CHANGED}


def _some(things: Iterable[Thing], count: int = _BATCH) -> Iterator[list[Thing]]:
    """Yield things in lists of so many."""
    rest = iter(things)
    while some := list(islice(rest, count)):
        yield some


def _began(step: _Step, now: Any, by: str) -> dict[str, Any]:
    return {
        "resource": step.name,
        "n": 1,
        "at": now,
        "by": by,
        "event": "register",
        "from_state": None,
        "to_state": ResourceState.DRAFT.value,
        "why": None,
        "detail": {"version": None, "code": step.code},
    }


def _entered(step: _Step, now: Any, by: str) -> dict[str, Any]:
    return {"resource": step.name, "code": step.code, "version": 1, "document": step.document, "at": now, "by": by}


def _last_codes(codes: Iterable[str]) -> Iterator[str]:
    """Yield the code with the highest number of each classification."""
    last: dict[str, int] = {}
    for code in codes:
        if (found := read_code(code)) is not None:
            last[found[0]] = max(last.get(found[0], 0), found[1])
    for prefix, number in last.items():
        yield official_code(prefix, number)


class _Plan:
    """Finds out what each entry leads to, and writes down what is wrong with it; changes nothing."""

    def __init__(self, session: Session, faults: Faults, who: PrincipalRecord | None) -> None:
        self._session = session
        self._faults = faults
        self._who = who
        self._may_all = who is None or any(not duty.own and duty.role in who.roles for duty in IMPORTING)
        departments = [department_record(row) for row in session.scalars(select(Department))]
        self._by_code = {one.credit_code: one for one in departments if one.credit_code is not None}
        self._by_name: dict[str, list[DepartmentRecord]] = {}
        for one in departments:
            self._by_name.setdefault(one.name, []).append(one)
        columns = (Resource.name, Resource.code, Resource.title, Resource.department, Resource.version, Resource.state)
        self._names: dict[str, _Here] = {row[0]: _Here(*row) for row in session.execute(select(*columns))}
        self._codes = {here.code: here for here in self._names.values() if here.code is not None}
        self._titles: dict[tuple[str, str], list[_Here]] = {}
        for here in self._names.values():
            if here.state == ResourceState.DISCARDED:
                continue
            self._titles.setdefault((here.department, here.title), []).append(here)
        self._searched = 0
        self._sequences = {row.prefix: row.last for row in session.scalars(select(CodeSequence))}

    def of(self, given: Sequence[GivenEntry]) -> list[_Step]:
        """Return the steps of the entries that are right."""
        placed: dict[str, GivenEntry] = {}
        coded: dict[str, GivenEntry] = {}
        steps = []
        for one in given:
            before = self._faults.count
            department = self._department(one)
            if department is None:
                continue
            if self._who is not None:
                check_duty(self._who, "import resources", IMPORTING, department.code)
            here = self._here(one, department)
            if self._faults.count > before:
                continue
            step = _Step(one, department.code, here, here.name if here is not None else one.name or "")
            code = one.entry.code or (here.code if here is not None else None)
            for key, text, seen in (("name", step.name, placed), ("code", code, coded)):
                if text and seen.setdefault(text, one) is not one:
                    self._bad(one, key, f"{text} is another entry's of this file as well")
            if self._faults.count == before:
                steps.append(step)
        taken = {*self._names, *placed}
        for step in steps:
            if not step.name:
                step.name = pinyin_name(step.given.entry.title, taken)
                taken.add(step.name)
        return self._compared(steps, coded)

    def _bad(self, one: GivenEntry, key: str, reason: str, field: int | None = None) -> None:
        self._faults.add(one.place.fault(key, reason, field))

    def _department(self, one: GivenEntry) -> DepartmentRecord | None:
        """Return the department of an entry: by its credit code, else by its name where the hub has no code of it."""
        entry = one.entry
        found = self._by_code.get(entry.provider_code)
        named = self._by_name.get(entry.provider, [])
        if found is None and named:
            if (code := named[0].credit_code) is not None or len(named) > 1:
                self._bad(one, "provider_code", f"{entry.provider} has {code or 'no code of its own in the hub'}")
                return None
            found = named[0]
        if found is None:
            close = near(entry.provider, self._by_name) if self._searched < _MOST_SEARCHED else ""
            self._searched += 1
            self._bad(one, "provider", f"there is no department {entry.provider[:40]!r}{close}")
            return None
        for key, reason in (wrong := provider_misfits(entry, found)):
            self._bad(one, key, reason)
        return None if wrong else found

    def _here(self, one: GivenEntry, department: DepartmentRecord) -> _Here | None:
        """Return the resource that an entry is of; None where it makes one, or is wrong."""
        entry = one.entry
        coded = self._codes.get(entry.code) if entry.code is not None else None
        if one.name is not None:
            here = self._names.get(one.name)
            if coded is not None and coded is not here:
                self._bad(one, "code", f"{entry.code} is the code of another resource, {self._called(coded)}")
                return None
        elif coded is not None:
            here = coded
        else:
            same = [r for r in self._titles.get((department.code, entry.title), []) if entry.code is None or r.code is None]
            here = same[0] if len(same) == 1 else None
            if len(same) > 1:
                self._bad(one, "title", f"{department.name} has {len(same)} resources of this title: give the name or the code")
        if here is None:
            return None
        if here.state == ResourceState.DISCARDED:
            key = "name" if one.name is not None else "code"
            self._bad(one, key, "is of a draft that was discarded, and is never given again")
        elif here.department != department.code:
            self._bad(one, "name" if one.name is not None else "code", "is the resource of another department")
        elif here.code is not None and not is_code(here.code):
            self._bad(one, "code", f"{here.name} has {here.code[:40]!r}, which is none of the official catalogue")
        elif here.code is not None and entry.code not in (None, here.code):
            self._bad(one, "code", f"{here.name} has {here.code}, which never changes")
        return here

    def _called(self, here: _Here) -> str:
        """Return the name of a resource, where whoever asks may know of it."""
        own = self._who is None or self._may_all or here.department == self._who.department
        return here.name if own else "which is not yours"

    def _compared(self, steps: Sequence[_Step], coded: Mapping[str, GivenEntry]) -> list[_Step]:
        """Return the steps that may be taken, each with its code, its document and its outcome."""
        kept: dict[str, dict[str, Any]] = {}
        contracts: dict[str, str] = {}
        old = [step.here for step in steps if step.here is not None]
        for some in _some(old):
            query = select(EntryRow.resource, EntryRow.document).where(EntryRow.resource.in_([here.name for here in some]))
            kept.update((name, document) for name, document in self._session.execute(query))
        good = []
        for step in steps:
            before = self._faults.count
            step.code = step.given.entry.code or (step.here.code if step.here is not None else None)
            if step.code is None:
                step.code = self._next_code(step.given.entry.classification.prefix, coded)
            step.document = entry_document(replace(step.given.entry, code=step.code))
            if step.here is not None:
                same = kept.get(step.name) == step.document
                step.outcome = Outcome.UNCHANGED if same else Outcome.CHANGED
                if not same:
                    self._check_may_change(step.given, step.here)
            if self._faults.count == before:
                good.append(step)
        changed = [step for step in good if step.outcome is Outcome.CHANGED and step.here is not None and step.here.version]
        for some_ in _some(changed):
            query = (
                select(ContractVersion.resource, ContractVersion.odcs)
                .join(Resource, (Resource.name == ContractVersion.resource) & (Resource.version == ContractVersion.version))
                .where(Resource.name.in_([step.name for step in some_]))
            )
            contracts.update((name, odcs) for name, odcs in self._session.execute(query))
        return [step for step in good if step.name not in contracts or self._fits(step, contracts.pop(step.name))]

    def _fits(self, step: _Step, odcs: str) -> bool:
        contract: DataContract = read_contract(odcs, where=step.name, registered=True)
        wrong = misfits(step.given.entry, contract)
        for text in wrong:
            key, number, reason = fault_parts(text)
            self._bad(step.given, key, reason, number)
        return not wrong

    def _check_may_change(self, one: GivenEntry, here: _Here) -> None:
        if not self._may_all and here.state not in (ResourceState.DRAFT, ResourceState.REJECTED):
            self._bad(one, "title", f"{here.name} is {here.state}: the centre changes what the catalogue says of it")

    def _next_code(self, prefix: str, coded: Mapping[str, GivenEntry]) -> str:
        number = self._sequences.get(prefix, 0) + 1
        while (code := official_code(prefix, number)) in self._codes or code in coded:
            number += 1
        self._sequences[prefix] = number
        return code


def catalogued(entries: Iterable[tuple[str, CatalogueEntry]]) -> list[GivenEntry]:
    """Return entries with the names of their resources, as they are brought in."""
    return [GivenEntry(name, entry, EntryPlace(number)) for number, (name, entry) in enumerate(entries, start=1)]
