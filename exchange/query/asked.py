"""A query that is allowed, and that whoever asked it went away."""

from __future__ import annotations

from dataclasses import dataclass

from exchange.query.ask import QueryRequest
from exchange.query.encode import Format
from exchange.query.rows import Landed, Reading
from exchange.trust.grant import Grant, Principal
from exchange.trust.quota import Lent
from schemas.contract import Field
from schemas.errors import Fault, TransientError


class GoneError(TransientError):
    """Whoever asked does not read any more."""

    def __init__(self) -> None:
        super().__init__("whoever asked went away", code="client.gone", fault=Fault.CLIENT)


@dataclass(frozen=True, slots=True)
class Asked:
    """A query that is allowed: by whom, of what, under which grant."""

    id: str
    principal: Principal
    resource: str
    request: QueryRequest
    format: Format
    grant: Grant
    fields: tuple[Field, ...]
    """The fields given, in the contract's order."""
    reading: Reading
    landed: Landed
    most: int
    """Rows that are given at most: those asked for, or those that are left of a quota or of a case."""
    export: str | None = None
    """The bulk export that it is."""
    lent: Lent | None = None
    """Rows of the grant's quota that are counted for it."""
