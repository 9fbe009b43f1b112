"""What the registry answers about demands, ratings and what is late: plain values that know nothing of the database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from catalog_registry.demand_states import DemandState
from catalog_registry.step_clock import StepClock


@dataclass(frozen=True, slots=True)
class DemandRecord:
    """What a department asks for that is in no catalogue, and how far it is.

    ``asker``, ``appointed_by`` and ``answered_by`` are ids of principals; ``assigned`` is the department that is to provide.
    ``cycle`` and ``refusal_kind`` are codes of the official values. ``since``: when the step that it waits for began.
    """

    id: str
    department: str
    asker: str
    title: str
    description: str
    fields: tuple[str, ...]
    purposes: tuple[str, ...]
    items: tuple[str, ...]
    legal_basis: str
    cycle: str | None
    state: DemandState
    version: int
    assigned: str | None
    appointed_by: str | None
    answered_by: str | None
    promised_on: date | None
    refusal_kind: str | None
    refusal: str | None
    resource: str | None
    since: datetime
    made_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class NegativeRecord:
    """A line of the negative list 负面清单: a demand that was refused, or a published resource that is not shared.

    ``key`` sorts the list and names the thing: ``demand/<id>`` or ``resource/<name>``. ``department`` is the one that does
    not share it; ``basis_kind`` is a code (1 法律法规, 2 政策文件, 3 敏感, 4 其他), ``basis`` the words.
    """

    key: str
    title: str
    department: str
    basis_kind: str
    basis: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RatingRecord:
    """How a department rates what it gets of a resource. Every change raises ``version``; ``by`` is a principal's id."""

    resource: str
    department: str
    score: int
    comment: str | None
    version: int
    by: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RatingSum:
    """The mean of a resource's current ratings, and of how many departments."""

    average: float
    departments: int


@dataclass(frozen=True, slots=True)
class LateRecord:
    """Something that should have been done by now. ``title`` names what it is about, ``of`` whose it is, as an open clock."""

    kind: str
    id: str
    title: str
    of: str
    state: str
    clock: StepClock


@dataclass(frozen=True, slots=True)
class LateDepartment:
    """What is late at one department, the longest first; ``department`` is None for the centre.

    ``counts`` is by kind; ``oldest`` is the last day of the one that is late longest.
    """

    department: str | None
    counts: Mapping[str, int]
    oldest: date | None
    late: Sequence[LateRecord]
