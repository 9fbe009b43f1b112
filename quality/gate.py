"""The gate: rows that pass may be sealed, the rest are set aside with reasons; too many of those stop the run."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from quality.checks import Checks
from quality.engines import arrow
from schemas.batch import CheckedBatch, ConformedBatch, Rejects
from schemas.contract import Limits
from schemas.errors import DefectError, Fault, RejectedError


@dataclass(frozen=True, slots=True)
class Checked:
    """A batch divided: each of its rows is in ``batch`` or in ``rejects``, in the order it had."""

    batch: CheckedBatch
    rejects: Rejects


def check(batch: ConformedBatch, checks: Checks) -> Checked:
    """Return the rows that pass every row check, and the others with one finding for each field and rule they failed.

    Args:
        batch: conformed rows of the contract that ``checks`` was compiled from.
        checks: from ``quality.checks.compile_checks``.

    Raises:
        DefectError: ``quality.other_contract``; the checks are of another contract, or of another version.
    """
    contract = batch.contract
    if (checks.resource, checks.version) != (contract.name, contract.version):
        raise DefectError(
            f"checks of {checks.resource} {checks.version} were given a batch of {contract.name} {contract.version}",
            code="quality.other_contract",
            where=f"resource {contract.name}",
            remedy="compile the checks from the batch's own contract",
        )
    good, rejects = arrow.split(batch.rows, checks)
    return Checked(CheckedBatch(contract, good, batch.as_of), rejects)


def verdict(read: int, set_aside: int, limits: Limits) -> None:
    """Return where a run may go on: the share of rows set aside is within the contract's limit. Nothing read is fine here.

    Args:
        read: rows read from the source so far, those set aside among them.
        set_aside: rows set aside by conform, by checks and by the rules over the set.
        limits: the contract's.

    Raises:
        RejectedError: ``quality.too_many_bad``; the share is above the limit. Nothing of the run may be served.
        DefectError: ``quality.counts``; more rows were set aside than read.
    """
    if not 0 <= set_aside <= read:
        raise DefectError(
            f"{set_aside} rows set aside of {read} read; expected no more than were read",
            code="quality.counts",
            remedy="keep the run's logs and report this",
        )
    if set_aside > Fraction(str(limits.bad)) * read:  # exact: in binary, 0.29 * 100 is below 29
        raise RejectedError(
            f"{set_aside} of {read} rows were set aside, {set_aside / read:.2%}; the contract allows {limits.bad:.2%}",
            code="quality.too_many_bad",
            remedy="see `onedoor quarantine list`; mend the rows at the source, or the contract's limit, and collect again",
            fault=Fault.PROVIDER,
        )
