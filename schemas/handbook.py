"""The handbook of an item 业务手册 as data: each step with who does it, by which power, what is examined and how, and the scale
by which discretion 自由裁量 is used.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.form import Form, Names, refuse
from schemas.item import Limit
from schemas.item_form import listed, plain_document, read_limit


@dataclass(frozen=True, slots=True)
class Discretion:
    """One rung of a scale: in which circumstances which outcome is given."""

    circumstance: str
    outcome: str


@dataclass(frozen=True, slots=True)
class HandbookStep:
    """A step 环节: the body and the post that take it, their power, what they examine, how, by when, with which discretion.

    ``body`` is the name of a body: not always the item's own, where the review is delegated.
    """

    name: str
    body: str
    post: str
    powers: str
    examines: tuple[str, ...]
    how: str
    limit: Limit | None = None
    discretion: tuple[Discretion, ...] = ()


@dataclass(frozen=True, slots=True)
class Handbook:
    """The steps in their order; there is at least one."""

    steps: tuple[HandbookStep, ...]


KEYS: Final = ("steps",)
STEP_KEYS: Final = tuple(field.name for field in dataclasses.fields(HandbookStep))
DISCRETION_KEYS: Final = tuple(field.name for field in dataclasses.fields(Discretion))


def read_handbook(document: Mapping[str, Any], *, names: Names | None = None, where: str | None = None) -> Handbook:
    """Return the handbook of a document. Raises ``RejectedError`` (``item.handbook``) that names everything that is wrong."""
    wrong: list[str] = []
    made = handbook_of_form(Form(document, KEYS, wrong, names or {}))
    refuse(wrong, "the handbook", "item.handbook", where)
    return made


def handbook_of_form(form: Form) -> Handbook:
    """Return the handbook that a form holds; what is wrong with it is written down there."""
    if not form.document.get("steps"):
        form.bad("steps", "is missing: at least one step")
    return Handbook(listed(form, "steps", STEP_KEYS, _step, "name"))


def handbook_document(handbook: Handbook) -> dict[str, Any]:
    """Return a handbook as the document that ``read_handbook`` reads."""
    made: dict[str, Any] = plain_document(handbook)
    return made


def _step(form: Form) -> HandbookStep:
    examines = form.texts("examines")
    if not examines:
        form.bad("examines", "is missing: what is examined, at least one thing")
    return HandbookStep(
        name=form.said("name"),
        body=form.said("body"),
        post=form.said("post"),
        powers=form.said("powers"),
        examines=examines,
        how=form.said("how"),
        limit=read_limit(form, "limit"),
        discretion=listed(form, "discretion", DISCRETION_KEYS, _rung, "circumstance"),
    )


def _rung(form: Form) -> Discretion:
    return Discretion(form.said("circumstance"), form.said("outcome"))
