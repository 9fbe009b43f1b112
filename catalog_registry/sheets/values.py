"""What stands in a cell → the value that a document has, however people write it."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime
from typing import Any, Final

from catalog_registry.sheets.columns import Column, Kind
from catalog_registry.sheets.grid import Value
from schemas.catalogue import Coded

_EXACT_DIGITS: Final = 15
_BETWEEN: Final = re.compile(r"[、,，;；\s]+")
_BETWEEN_WAYS: Final = re.compile(r"[、,，;；/／\s]+")
_DAY: Final = re.compile(r"([0-9]{4})(?:[-/.年])([0-9]{1,2})(?:[-/.月])([0-9]{1,2})日?")
_COMPACT_DAY: Final = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")
_YES: Final = frozenset({"是", "y", "yes", "true", "1", "√", "开放"})
_NO: Final = frozenset({"否", "n", "no", "false", "0", "×", "不开放"})


def plain_of(column: Column, value: Value) -> tuple[Any, str]:
    """Return a value as a document has it, and what is wrong with it."""
    match column.kind:
        case Kind.FLAG:
            word = text_of(value).casefold()
            if word not in _YES | _NO:
                return None, f"{word[:40]!r} is neither 是 nor 否"
            return word in _YES, ""
        case Kind.DAY:
            return _day(value)
        case Kind.NUMBER:
            return _number(value)
        case Kind.CODED:
            return _coded(text_of(value), column.values), ""
        case Kind.LIST:
            if isinstance(value, int | float) and not isinstance(value, bool) and len(text_of(value)) > _EXACT_DIGITS:
                return None, _AS_TEXT
            parts = (_BETWEEN if column.values is None else _BETWEEN_WAYS).split(text_of(value))
            return [_coded(part, column.values) for part in parts if part], ""
        case Kind.DIGITS:
            return _digits(column, value)
        case Kind.LINES:
            return [line.strip() for line in text_of(value).splitlines() if line.strip()], ""
        case _:
            return text_of(value), ""


_AS_TEXT: Final = "is kept as a number, which loses zeros in front and digits above 15: make the cell a text"


def _digits(column: Column, value: Value) -> tuple[Any, str]:
    text = text_of(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and (len(text) > _EXACT_DIGITS or column.exact):
        return None, _AS_TEXT
    text = unicodedata.normalize("NFKC", text)
    return (text.zfill(column.padded) if text.isdigit() else text), ""


def _number(value: Value) -> tuple[Any, str]:
    text = unicodedata.normalize("NFKC", text_of(value))
    return (int(text), "") if re.fullmatch(r"[0-9]{1,12}", text) else (None, f"{text[:40]!r} is no whole number")


def _day(value: Value) -> tuple[Any, str]:
    if isinstance(value, datetime):
        return value.date().isoformat(), ""
    if isinstance(value, date):
        return value.isoformat(), ""
    text = unicodedata.normalize("NFKC", text_of(value))
    found = _DAY.fullmatch(text.partition(" ")[0]) or _COMPACT_DAY.fullmatch(text)
    iso = "" if found is None else f"{found[1]}-{found[2]:0>2}-{found[3]:0>2}"
    try:
        return date.fromisoformat(iso).isoformat(), ""
    except ValueError:
        return None, f"{text[:40]!r} is no day: 2026-10-08"


def _coded(text: str, kind: type[Coded] | None) -> str:
    """Return a value without the word behind its code: ``2`` of ``2 有条件共享``."""
    if kind is None:
        return text
    return next((one.value for one in kind if text in (one.value, one.zh, one.told, f"{one.value}{one.zh}")), text)


def text_of(value: Value) -> str:
    """Return what a cell says, without blanks at its ends; None says nothing."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return str(value).strip()


def is_said(value: Value) -> bool:
    """Say whether anything stands in a cell."""
    return value is not None and (not isinstance(value, str) or bool(value.strip()))
