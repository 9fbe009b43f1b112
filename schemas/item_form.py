"""A service item as a JSON object, in and out. All that is wrong with one is told in one refusal."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from datetime import date
from enum import Enum
from typing import Any, Final, TypeVar

from schemas.codes import credit_code, item_basic_code
from schemas.errors import RejectedError
from schemas.form import Form, Names, choice, member, refuse, shown
from schemas.item import (
    IMPLEMENTATION,
    LEGACY,
    CodeKind,
    Handling,
    ItemStatus,
    ItemType,
    Limit,
    LimitUnit,
    Material,
    Question,
    Served,
    ServiceItem,
    Way,
    is_code_type,
    read_item_code,
)

T = TypeVar("T")

KEYS: Final = tuple(field.name for field in dataclasses.fields(ServiceItem))
"""The keys of an item, in the order in which it is written."""
WAY_KEYS: Final = tuple(field.name for field in dataclasses.fields(Way))
MATERIAL_KEYS: Final = tuple(field.name for field in dataclasses.fields(Material))
QUESTION_KEYS: Final = tuple(field.name for field in dataclasses.fields(Question))
TEXTS: Final = (
    *("body_type", "level", "power_source", "by_law", "accept_condition", "flow", "special_procedure", "online_depth"),
    *("handle_area", "address", "hours", "contact", "supervision"),
)
"""The keys whose value is any text."""
_DAYS: Final = range(10_000)


def read_item(document: Mapping[str, Any], *, names: Names | None = None, where: str | None = None) -> ServiceItem:
    """Return the item of a document. An official value may be given by its code or by its Chinese word.

    Args:
        document: a JSON object with ``KEYS``; a key that is null is as one that is absent.
        names: what the keys are called where the document came from, for the refusal.
        where: name of the file or the like, for the refusal.

    Raises:
        RejectedError: it is no item (``item.elements``); every element that is wrong is named, each with its reason.
    """
    wrong: list[str] = []
    item = item_of_form(Form(document, KEYS, wrong, names or {}))
    refuse(wrong, "the service item", "item.elements", where)
    return item


def plain_document(value: Any) -> Any:
    """Return a value of dataclasses as the document that it is read from: plain values, absent ones left out."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        said = {field.name: plain_document(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {name: one for name, one in said.items() if one not in (None, [], {})}
    if isinstance(value, tuple):
        return [plain_document(one) for one in value]
    if isinstance(value, Enum):
        return value.value
    return value.isoformat() if isinstance(value, date) else value


def item_document(item: ServiceItem) -> dict[str, Any]:
    """Return an item as the document that ``read_item`` reads."""
    made: dict[str, Any] = plain_document(item)
    return made


def item_of_form(form: Form) -> ServiceItem:
    """Return the item that a form holds; what is wrong with it is written down there."""
    code, code_type, basic = _codes(form)
    return ServiceItem(
        code=code,
        code_type=code_type,
        name=form.said("name"),
        body=form.said("body"),
        basic_code=basic,
        body_code=_body_code(form, code, code_type),
        item_type=form.coded("item_type", ItemType, needed=False),
        status=form.coded("status", ItemStatus, needed=False) or ItemStatus.IN_USE,
        source_version=form.whole("source_version", range(1, 1 << 31)),
        served=form.coded("served", Served, needed=False),
        handling=form.coded("handling", Handling, needed=False),
        statutory=read_limit(form, "statutory"),
        promised=read_limit(form, "promised"),
        fee=_flag(form, "fee"),
        fees=form.texts("fees"),
        visits=form.whole("visits", range(1000)),
        topics=form.texts("topics"),
        effective_on=_day(form, "effective_on"),
        cancelled_on=_day(form, "cancelled_on"),
        ways=listed(form, "ways", WAY_KEYS, _way, "code"),
        materials=listed(form, "materials", MATERIAL_KEYS, material_of_form, "code"),
        questions=listed(form, "questions", QUESTION_KEYS, _question, "question"),
        **{key: form.text(key, needed=False) for key in TEXTS},
    )


def listed(form: Form, key: str, keys: tuple[str, ...], read: Callable[[Form], T], unique: str) -> tuple[T, ...]:
    """Return the things of a list of objects; none may come twice by its ``unique`` key. Faults are named by their place."""
    given = form.document.get(key, [])
    if not isinstance(given, list):
        form.bad(key, "must be a list")
        return ()
    made: list[T] = []
    seen: set[str] = set()
    for place, document in enumerate(given):
        called = f"{form.called(key)}[{place}]"
        if not isinstance(document, Mapping):
            form.wrong.append(f"{called}: must be an object")
            continue
        made.append(read(Form(document, keys, form.wrong, {}, f"{called}.")))
        named = document.get(unique)
        if isinstance(named, str) and named in seen:
            form.wrong.append(f"{called}.{unique}: {shown(named)} stands there twice")
        seen.add(str(named))
    return tuple(made)


def material_of_form(form: Form) -> Material:
    """Return a material; what is wrong with it is written down in its form."""
    return Material(
        code=form.said("code"),
        name=form.said("name"),
        needed=_flag(form, "needed") is not False,
        pages=form.whole("pages", range(1000)),
        **{key: form.text(key, needed=False) for key in ("type", "format", "source", "form", "example")},
    )


def read_limit(form: Form, key: str) -> Limit | None:
    """Return a limit of time; None where there is none."""
    given = form.document.get(key)
    if given is None:
        return None
    number = given.get("number") if isinstance(given, Mapping) else None
    unit = member(given.get("unit"), LimitUnit) if isinstance(given, Mapping) else None
    if isinstance(number, bool) or not isinstance(number, int) or number not in _DAYS or unit is None or len(given) != 2:
        form.bad(key, f"must have a number from 0 to {_DAYS.stop - 1} and a unit, one of {choice(LimitUnit)}")
        return None
    return Limit(number, unit)


def _codes(form: Form) -> tuple[str, str, str | None]:
    code, basic = form.said("code"), form.text("basic_code", needed=False)
    given = form.text("code_type", needed=False)
    if not code:
        return "", LEGACY, None
    if given is not None and not is_code_type(given):
        form.bad("code_type", f"{shown(given)} is no type of a code: small letters, digits, _, at most 32")
    try:
        found = read_item_code(code)
    except RejectedError as error:
        form.bad("code", error.message)
        return code, LEGACY, None
    whole = found.kind is CodeKind.IMPLEMENTATION
    if (given == IMPLEMENTATION) != whole and given is not None:
        form.bad("code_type", f"is {shown(given)}, and {code} is {'an implementation code' if whole else 'no such code'}")
    if basic is not None and not item_basic_code(basic):
        form.bad("basic_code", f"{shown(basic)} is no basic code: 12 digits or capital letters")
    elif whole and basic not in (None, found.basic):
        form.bad("basic_code", f"{shown(basic)} is not the basic code in {code}")
    return code, given or (IMPLEMENTATION if whole else LEGACY), found.basic if whole else basic


def _body_code(form: Form, code: str, code_type: str) -> str | None:
    given = form.text("body_code", needed=False)
    if given is not None and not credit_code(given):
        form.bad("body_code", f"{shown(given)} is no credit code: form or check character")
    return given or (code[:18] if code_type == IMPLEMENTATION else None)


def _way(form: Form) -> Way:
    return Way(
        code=form.said("code"),
        name=form.said("name"),
        at_centre=_flag(form, "at_centre"),
        online=_flag(form, "online"),
        **{key: form.text(key, needed=False) for key in ("online_depth", "result_type", "result_name", "address", "hours")},
    )


def _question(form: Form) -> Question:
    return Question(form.said("question"), form.said("answer"))


def _flag(form: Form, key: str) -> bool | None:
    return form.flag(key) if form.has(key) else None


def _day(form: Form, key: str) -> date | None:
    text = form.text(key, needed=False)
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        form.bad(key, f"{shown(text)} is no day: 2026-11-02")
        return None
