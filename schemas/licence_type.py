"""Licence types 证照类型: the kinds of e-licence, and on which terms each is shared (电子证照, GB/T 36901-36906)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from schemas.catalogue import Coded
from schemas.codes import credit_code
from schemas.form import Form, member, refuse, shown
from schemas.item_form import plain_document


class HolderKind(Coded):
    """持证主体代码类型: by which number a holder is named."""

    CITIZEN = "111", "公民身份号码"
    ORGANISATION = "001", "统一社会信用代码"


class LicenceState(Coded):
    """证照状态. The code of a licence in force is common knowledge; the others are the standard's."""

    VALID = "01", "正常"
    REVOKED = "03", "撤销"
    CANCELLED = "04", "注销"
    LAPSED = "05", "失效"
    MOVED = "06", "办理转出"
    WITHDRAWN = "07", "吊销"
    OTHER = "99", "其他"


class LicenceSharing(Coded):
    """共享方式: for a case of a listed item only, or on a condition."""

    BY_ITEM = "1", "依事项共享"
    CONDITIONAL = "2", "有条件共享"


FIELDS: Final = ("ZZMC", "ZZHM", "CYRMC", "CYRSFZJLX", "FZJGMC", "FZJGZZJGDM", "FZJGSSXZQHDM", "FZRQ", "YXQJSRQ")
"""The fields that every licence has ``data_fields``."""


@dataclass(frozen=True, slots=True)
class LicenceType:
    """A licence type as the licence store has it. ``validity_years`` 0: valid for ever."""

    code: str
    name: str
    issuer: str
    issuer_code: str | None = None
    holders: tuple[HolderKind, ...] = ()
    validity_years: int | None = None


@dataclass(frozen=True, slots=True)
class LicenceTerms:
    """What the hub itself says of a licence type: its fields, the states that it knows, and how it is shared."""

    sharing: LicenceSharing = LicenceSharing.BY_ITEM
    condition: str | None = None
    fields: tuple[str, ...] = FIELDS
    states: tuple[LicenceState, ...] = tuple(LicenceState)


KEYS: Final = tuple(field.name for field in dataclasses.fields(LicenceType))
TERMS_KEYS: Final = tuple(field.name for field in dataclasses.fields(LicenceTerms))


def read_licence_type(document: Mapping[str, Any], *, where: str | None = None) -> LicenceType:
    """Return the licence type of a document. Raises ``RejectedError`` (``licence_type.form``) naming all that is wrong."""
    wrong: list[str] = []
    form = Form(document, KEYS, wrong, {})
    issuer_code = form.text("issuer_code", needed=False)
    if issuer_code and not credit_code(issuer_code):
        form.bad("issuer_code", f"{shown(issuer_code)} is no credit code: form or check character")
    made = LicenceType(
        code=form.said("code"),
        name=form.said("name"),
        issuer=form.said("issuer"),
        issuer_code=issuer_code,
        holders=_members(form, "holders", HolderKind),
        validity_years=form.whole("validity_years", range(100)),
    )
    refuse(wrong, "the licence type", "licence_type.form", where)
    return made


def read_terms(document: Mapping[str, Any], *, where: str | None = None) -> LicenceTerms:
    """Return the terms of a document. Raises ``RejectedError`` (``licence_type.terms``) naming all that is wrong."""
    wrong: list[str] = []
    form = Form(document, TERMS_KEYS, wrong, {})
    sharing = form.coded("sharing", LicenceSharing) or LicenceSharing.BY_ITEM
    condition = form.text("condition", needed=sharing is LicenceSharing.CONDITIONAL)
    if condition and sharing is LicenceSharing.BY_ITEM:
        form.bad("condition", f"stands only with {LicenceSharing.CONDITIONAL.told}")
    made = LicenceTerms(
        sharing=sharing,
        condition=condition,
        fields=form.texts("fields") if form.has("fields") else FIELDS,
        states=_members(form, "states", LicenceState) if form.has("states") else tuple(LicenceState),
    )
    if not made.fields:
        form.bad("fields", "is empty: at least one field")
    refuse(wrong, "the terms", "licence_type.terms", where)
    return made


def licence_type_document(made: LicenceType | LicenceTerms) -> dict[str, Any]:
    """Return it as the document that it is read from."""
    said: dict[str, Any] = plain_document(made)
    return said


def _members(form: Form, key: str, kind: Any) -> tuple[Any, ...]:
    found = [(text, member(text, kind)) for text in form.texts(key)]
    for text, one in found:
        if one is None:
            form.bad(key, f"{shown(text)} is not one of {', '.join(m.told for m in kind)}")
    return tuple(one for _, one in found if one is not None)
