"""The four kinds of error, named by what a runner does with them.

    OneDoorError
    ├── TransientError   try again later, with back-off
    ├── RejectedError    set the thing aside, tell its owner, go on
    ├── DeniedError      record, stop, show nothing
    └── DefectError      stop, wake a person

Only a runner and ``retry`` catch these kinds. A message says what is wrong and what was expected, in lower case; it never
holds a row, a personal value or a secret.
"""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar


class Fault(StrEnum):
    """Whose side failed."""

    CLIENT = "client"
    HUB = "hub"
    PROVIDER = "provider"


class OneDoorError(Exception):
    """What was wrong, where, and what to do about it.

    Args:
        message: what is wrong, then what was expected. Lower case, no personal value.
        code: stable, ``area.fact`` in lower case with underscores, such as ``source.unreachable``.
        where: the place: a file and line, a table, a field, a run.
        remedy: what a person can do now.
        fault: whose side failed.
    """

    kind: ClassVar[str] = "defect"

    def __init__(
        self,
        message: str,
        *,
        code: str,
        where: str | None = None,
        remedy: str | None = None,
        fault: Fault = Fault.HUB,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.where = where
        self.remedy = remedy
        self.fault = fault

    def __str__(self) -> str:
        """One line: what, where, what to do."""
        line = self.message
        if self.where:
            line += f" (at {self.where})"
        if self.remedy:
            line += f"; {self.remedy}"
        return line


class TransientError(OneDoorError):
    """A later try may succeed: a broker away, a lock held, a connection cut."""

    kind = "transient"


class RejectedError(OneDoorError):
    """The thing given cannot be used; its owner must mend it."""

    kind = "rejected"


class DeniedError(OneDoorError):
    """There is no right to do this."""

    kind = "denied"


class DefectError(OneDoorError):
    """Something that must not happen has happened; going on could lose or double data."""

    kind = "defect"


def raised_at(error: BaseException) -> str:
    """Return the file and line that raised an error: all that may be logged of one that nobody expected, since its words and
    its traceback could hold a row.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno}" if trace else ""
