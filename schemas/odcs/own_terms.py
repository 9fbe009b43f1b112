"""The hub's own terms of a contract: cursor, limits, partitions, schedule, roles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Final

from schemas.contract import CaseRole, CursorSpec, Field, LicenceRole, Limits, LogicalType
from schemas.cron import cron_problem
from schemas.odcs.part import Part

MAX_PARTITIONS: Final = 64


def cursor(term: Part | None, known: Mapping[str, Field]) -> CursorSpec | None:
    """Return the cursor: a clear, required timestamp, date or integer field of the schema."""
    if term is None:
        return None
    part = term.part("value")
    part.only(("field", "declared_lag_s", "overlap_s"), "onedoor.cursor")
    lag, overlap = part.whole("declared_lag_s", 0, 30 * 86400), part.whole("overlap_s", 0, 30 * 86400)
    f = _known(part, "field", known)
    if f is None:
        return None
    if f.personal:
        part.problem(f"field {f.name} is personal; a cursor must be clear", "field")
    if f.logical_type not in (LogicalType.TIMESTAMP, LogicalType.DATE, LogicalType.INTEGER):
        part.problem(f"field {f.name} is a {f.logical_type.value}; a cursor is a timestamp, a date or an integer", "field")
    if not f.required:
        part.problem(f"field {f.name} is not required; a row without its cursor would be read again for ever", "field")
    return CursorSpec(f.name, lag, CursorSpec("").overlap_s if overlap is None else overlap)


def limits(term: Part | None) -> Limits:
    """Return the shares above which a run stops."""
    if term is None:
        return Limits()
    part = term.part("value")
    part.only(("bad", "shrink"), "onedoor.limits")
    return Limits(part.share("bad", Limits().bad), part.share("shrink", Limits().shrink))


def partitions(term: Part | None) -> int:
    """Return the number of partitions, one where none is given."""
    return (term.whole("value", 1, MAX_PARTITIONS) if term else None) or 1


def schedule(root: Part) -> str | None:
    """Return the one cron expression of the contract's SLA, None where it has none."""
    out: str | None = None
    for part in root.parts("slaProperties"):
        text = part.text("schedule")
        if text is None:
            continue
        if part.text("scheduler") not in (None, "cron"):
            part.problem("the hub takes schedules of scheduler cron only", "scheduler")
        elif out is not None:
            part.problem("the contract has two schedules", "schedule")
        elif (why := cron_problem(text)) is not None:
            part.problem(why, "schedule")
        out = text
    return out


def case(term: Part | None, known: Mapping[str, Field]) -> CaseRole | None:
    """Return the role ``case``. All but the holder's number are clear; that one is clear or looked up."""
    part = _role(term, "case")
    if part is None:
        return None
    part.only(tuple(f.name for f in fields(CaseRole)), "the role case")
    clear = {k: _clear(part, k, known) for k in ("case_number", "item_code", "holder_type", "state")}
    states = part.value.get("open_states")
    if not isinstance(states, list) or not states or not all(isinstance(s, str) for s in states):
        part.problem("open_states must be a list of texts: the state's values of an open case", "open_states")
        states = []
    state = known.get(clear["state"])
    for i, s in enumerate(states):
        if state is not None and state.values and s not in state.values:
            part.problem(f"open state {s!r} is not among the values of field {state.name}", "open_states", i)
    return CaseRole(**clear, holder_number=_holder(part, known), open_states=tuple(states))


def licence(term: Part | None, known: Mapping[str, Field]) -> LicenceRole | None:
    """Return the role ``licence``. Numbers may be personal, the holder's if it is looked up; the rest is clear."""
    part = _role(term, "licence")
    if part is None:
        return None
    names = tuple(f.name for f in fields(LicenceRole))
    part.only(names, "the role licence")
    clear = {k: _clear(part, k, known) for k in names if k not in ("holder_number", "licence_number")}
    for key in ("valid_from", "valid_to"):
        f = known.get(clear[key])
        if f is not None and f.logical_type not in (LogicalType.DATE, LogicalType.TIMESTAMP):
            part.problem(f"{key} must be a date or a timestamp", key)
    number = _known(part, "licence_number", known)
    return LicenceRole(**clear, holder_number=_holder(part, known), licence_number=number.name if number else "")


def _role(term: Part | None, name: str) -> Part | None:
    if term is None:
        return None
    roles = term.part("value")
    if name == "case":
        roles.only(("case", "licence"), "onedoor.role")
    return roles.part(name) if name in roles.value else None


def _known(part: Part, key: str, known: Mapping[str, Field]) -> Field | None:
    text = part.text(key, required=True)
    if text is not None and text not in known:
        part.problem(f"{key} names field {text[:60]!r}, which the schema does not have", key)
    return known.get(text) if text is not None else None


def _clear(part: Part, key: str, known: Mapping[str, Field]) -> str:
    f = _known(part, key, known)
    if f is not None and f.personal:
        part.problem(f"{key} names the personal field {f.name}; the hub must read it clear", key)
    return f.name if f is not None else ""


def _holder(part: Part, known: Mapping[str, Field]) -> str:
    f = _known(part, "holder_number", known)
    if f is not None and f.personal and not f.lookup and f.key is None:
        part.problem(f"holder_number names the personal field {f.name}, which needs onedoor.lookup: true", "holder_number")
    return f.name if f is not None else ""
