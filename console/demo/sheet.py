"""A table of the demo while it is made: Arrow columns in which single rows can be made ugly or wrong, on the record."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.codes import citizen_id, credit_code

Rows = npt.NDArray[np.int64]
Change = Callable[[str], str | None]

WRONG_SHARE: Final = 0.01
"""Share of the rows of each table that are wrong beyond repair."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One way of being wrong: ``change`` spoils the text of ``column``; ``rule`` of the contract's ``field`` finds it."""

    rule: str
    field: str
    column: str
    change: Change


@dataclass(frozen=True, slots=True)
class Wrong:
    """A row that must be set aside, and what is wrong with it.

    ``key`` is the row's key as a person would name it: the canonical texts of its fields, joined by ``/``; None where one is
    null.
    """

    resource: str
    key: str | None
    field: str
    rule: str


@dataclass
class Sheet:
    """The rows of one source table. ``key`` names the columns of the contract's key; no constraint in the source holds it."""

    resource: str
    key: Sequence[str]
    columns: dict[str, pa.Array]
    wrong: list[Wrong] = field(default_factory=list)
    spoiled: set[int] = field(default_factory=set)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def edit(self, column: str, rows: Rows, change: Change) -> None:
        """Put ``change`` of the text in place of the text of ``column`` in ``rows``; nulls stay."""
        if len(rows) == 0:
            return
        rows = np.sort(rows)
        old = self.columns[column]
        new = [None if v is None else change(v) for v in old.take(pa.array(rows)).to_pylist()]
        mask = np.zeros(len(old), np.bool_)
        mask[rows] = True
        self.columns[column] = pc.replace_with_mask(old, pa.array(mask), pa.array(new, old.type))

    def spoil(self, rng: np.random.Generator, faults: Sequence[Fault], eligible: npt.NDArray[np.bool_] | None = None) -> None:
        """Make about 1 % of the rows wrong, the faults taking turns, and record each; both rows of a doubled key are wrong.

        Args:
            rng: where chance comes from.
            faults: those with the rule ``duplicate_key`` take two rows: the second gets the key of the first and a blank.
            eligible: the rows that may be spoiled; default all.
        """
        candidates = np.arange(len(self)) if eligible is None else np.flatnonzero(eligible)
        wanted = min(max(1, round(len(self) * WRONG_SHARE)), len(candidates))
        drawn = rng.choice(candidates, size=wanted, replace=False).tolist()
        turns: dict[int, list[int]] = {}
        turn = 0
        while drawn:
            fault = faults[turn % len(faults)]
            need = 2 if fault.rule == "duplicate_key" else 1
            if need <= len(drawn):
                turns.setdefault(turn % len(faults), []).extend(drawn[:need])
                del drawn[:need]
            turn += 1
        for number, rows in sorted(turns.items()):
            self._spoil(faults[number], np.array(rows, np.int64))

    def _spoil(self, fault: Fault, rows: Rows) -> None:
        self.spoiled.update(rows.tolist())
        if fault.rule == "duplicate_key":
            for column in self.key:
                self._copy(column, rows[0::2], rows[1::2])
            keys = self.keys(rows)
            self.edit(self.key[-1], rows[1::2], lambda text: text + "  ")
        else:
            self.edit(fault.column, rows, fault.change)
            keys = self.keys(rows)
        self.wrong.extend(Wrong(self.resource, key, fault.field, fault.rule) for key in keys)

    def _copy(self, column: str, here: Rows, there: Rows) -> None:
        order = np.arange(len(self))
        order[there] = here
        self.columns[column] = self.columns[column].take(pa.array(order))

    def keys(self, rows: Rows) -> list[str | None]:
        """Return the key of each of ``rows`` as ``Wrong`` holds it; a blank text is a null."""
        parts = [self.columns[column].take(pa.array(rows)).to_pylist() for column in self.key]
        keys = [tuple("" if v is None else str(v).strip() for v in key) for key in zip(*parts, strict=True)]
        return ["/".join(key) if all(key) else None for key in keys]

    def uglify(self, rng: np.random.Generator, column: str, share: float, change: Change) -> None:
        """Make a share of the rows ugly in ``column``, in a way that the contract's normalisations mend; not wrong rows."""
        rows = np.flatnonzero(rng.random(len(self)) < share)
        self.edit(column, rows[~np.isin(rows, np.fromiter(self.spoiled, np.int64, len(self.spoiled)))], change)

    def rows(self) -> pa.RecordBatch:
        """Return the rows as they are now."""
        return pa.RecordBatch.from_pydict(self.columns)


def fullwidth(text: str) -> str:
    """Return ASCII as full width forms."""
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def padded(text: str) -> str:
    """Return the text with blanks behind it, as a CHAR column gives it."""
    return text + "   "


def wide_blanks(text: str) -> str:
    """Return the text between ideographic spaces."""
    return f"\u3000{text}\u3000"


def slashes(text: str) -> str:
    """Return ``2016-07-27`` as ``2016/7/27``."""
    year, month, day = text.split("-")
    return f"{year}/{int(month)}/{int(day)}"


def dots(text: str) -> str:
    """Return ``2016-07-27`` as ``2016.7.27``."""
    return slashes(text).replace("/", ".")


def compact(text: str) -> str:
    """Return ``2016-07-27`` as ``20160727``."""
    return text.replace("-", "")


def chinese_date(text: str) -> str:
    """Return ``2016-07-27`` as ``2016年7月27日``."""
    year, month, day = text.split("-")
    return f"{year}年{int(month)}月{int(day)}日"


def dates_only(change: Change) -> Change:
    """Return ``change`` for texts that are still ``YYYY-MM-DD``; others stay."""
    return lambda text: change(text) if text[4:5] == "-" else text


def wrong_number(text: str) -> str:
    """Return the text with another last character, so that it is neither a citizen id nor a credit code."""
    return next(other for c in "0123456789" if not citizen_id(other := text[:-1] + c) and not credit_code(other))


def other_check(text: str) -> str:
    """Return the text with its last character another one, so that its check digit is wrong."""
    return text[:-1] + ("7" if text[-1] != "7" else "4")


def nothing(text: str) -> None:
    """Return null."""
    return None


def becomes(text: str) -> Change:
    """Return a change that puts ``text`` in place of any text."""
    return lambda _: text
