"""Reading a JSON object by its keys so that everything that is wrong with it is told at once."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from schemas.catalogue import Coded
from schemas.errors import Fault, RejectedError

C = TypeVar("C", bound=Coded)
Names = Mapping[str, str]

_SHOWN: Final = 40


class Form:
    """Reads values by key and writes down what is wrong with each; what it returns for a wrong one is never used.

    Args:
        document: the object; a key that is null is as one that is absent.
        keys: those that it may have.
        wrong: where faults are written down, ``place: reason`` each.
        names: what keys are called where the document came from, if otherwise.
        place: what stands before a key in the refusal, such as ``fields[2].``.
    """

    def __init__(
        self, document: Mapping[str, Any], keys: Sequence[str], wrong: list[str], names: Names, place: str = ""
    ) -> None:
        self.document = {key: value for key, value in document.items() if value is not None}
        self.wrong = wrong
        self.names = names
        self._place = place
        for key in self.document:
            if key not in keys:
                near = get_close_matches(key, keys, n=1)
                self.bad(key, "there is no such key" + (f", near it is {self.called(near[0])}" if near else ""))

    def called(self, key: str) -> str:
        """Return the place of a key as the refusal names it."""
        return self._place + self.names.get(key, key)

    def bad(self, key: str, reason: str) -> None:
        """Write down what is wrong with a key."""
        self.wrong.append(f"{self.called(key)[: 2 * _SHOWN]}: {reason}")

    def has(self, key: str) -> bool:
        """Say whether the key is there, with a value that is not null."""
        return key in self.document

    def text(self, key: str, *, needed: bool = True) -> str | None:
        """A text that says something, on its own without blanks at its ends; None where it is absent."""
        value = self.document.get(key)
        if value is None:
            if needed:
                self.bad(key, "is missing")
            return None
        if not isinstance(value, str):
            self.bad(key, "must be a text")
        elif not value.strip():
            self.bad(key, "is empty")
        elif any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\r\t" for c in value):
            self.bad(key, "has a control character")
        else:
            return value.strip()
        return ""

    def said(self, key: str) -> str:
        """A text that must be there."""
        return self.text(key) or ""

    def flag(self, key: str, *, needed: bool = False) -> bool:
        """True or false; false where it is absent."""
        value = self.document.get(key)
        if value is None and needed:
            self.bad(key, "is missing: true or false")
        elif value is not None and not isinstance(value, bool):
            self.bad(key, "must be true or false")
        return value is True

    def whole(self, key: str, allowed: range) -> int | None:
        """A whole number of a range; None where it is absent or wrong."""
        value = self.document.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or value not in allowed:
            self.bad(key, f"{shown(value)} is no whole number from {allowed.start} to {allowed.stop - 1}")
            return None
        return value

    def coded(self, key: str, kind: type[C], *, needed: bool = True) -> C | None:
        """An official value, by its code or its word; None where it is absent or wrong."""
        value = self.document.get(key)
        if value is None:
            if needed:
                self.bad(key, f"is missing: {choice(kind)}")
            return None
        found = member(value, kind)
        if found is None:
            self.bad(key, f"{shown(value)} is not one of {choice(kind)}")
        return found

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of texts, each once."""
        value = self.document.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.bad(key, "must be a list of texts")
            return ()
        if len(set(value)) != len(value):
            self.bad(key, "has the same value twice")
        return tuple(value)


def member(value: object, kind: type[C]) -> C | None:
    """Return the official value of a code or a word; None where it is neither."""
    return next((one for one in kind if value in (one.value, one.zh)), None)


def choice(kind: type[C]) -> str:
    """Return all values of a kind, for a refusal."""
    return ", ".join(one.told for one in kind)


def shown(value: object) -> str:
    """Return a value as a refusal shows it, cut where it is long."""
    return repr(value) if len(repr(value)) <= _SHOWN else f"{repr(value)[:_SHOWN]}…"


def refuse(wrong: list[str], what: str, code: str, where: str | None) -> None:
    """Raise one refusal that names every fault, where there are any."""
    if wrong:
        count = "1 fault" if len(wrong) == 1 else f"{len(wrong)} faults"
        raise RejectedError(f"{what} has {count}: {'; '.join(wrong)}", code=code, where=where, fault=Fault.CLIENT)
