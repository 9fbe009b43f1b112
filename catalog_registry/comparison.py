"""What a new version of a contract would change, and who would be affected, before anything is registered."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from catalog_registry.grants import Grants
from catalog_registry.records import GrantRecord, Receiver
from catalog_registry.rules import refused
from schemas.evolution import Evolution, diff
from schemas.odcs import read_contract


@dataclass(frozen=True, slots=True)
class Affected:
    """A grant that a breaking change touches: its receiver reads ``fields`` of those that change, until ``to_at``.

    A change of the whole contract touches all fields of the grant; so does a field that only chooses its rows.
    """

    grant: str
    receiver: Receiver
    fields: tuple[str, ...]
    from_at: datetime
    to_at: datetime


@dataclass(frozen=True, slots=True)
class Comparison:
    """A contract beside the version in force."""

    evolution: Evolution
    affected: tuple[Affected, ...]


class Comparisons(Grants):
    """Contracts beside those in force."""

    def compare(self, name: str, contract_text: str, *, where: str = "<contract>") -> Comparison:
        """Compare a contract with the version of the resource's contract that is in force. Changes nothing.

        Args:
            name: the resource.
            contract_text: an ODCS document of it.
            where: name of the file or the like, for errors.

        Raises:
            RejectedError: the resource is unknown, or the contract is not valid or is another resource's.
        """
        after = read_contract(contract_text, where=where)
        if after.name != name:
            raise refused(
                f"the contract is of resource {after.name}, not of {name}",
                "contract.other_resource",
                where=where,
                remedy="give the contract of the resource itself",
            )
        evolution = diff(self.resource(name).contract, after)
        return Comparison(evolution, affected(evolution, self.grants(resource=name), self._clock.now()))


def affected(evolution: Evolution, grants: Iterable[GrantRecord], now: datetime) -> tuple[Affected, ...]:
    """Return the grants, in force or still to begin, that breaking changes touch, in the order given."""
    found = []
    for grant in grants:
        if grant.revoked_at is not None or now >= grant.to_at:
            continue
        filtered = grant.row_filter.fields if grant.row_filter is not None else ()
        touched = {change.field for change in evolution.breaking_for({*grant.fields, *filtered})}
        if not touched:
            continue
        whole = not touched <= set(grant.fields)
        fields = tuple(f for f in grant.fields if whole or f in touched)
        found.append(Affected(grant.id, grant.receiver, fields, grant.from_at, grant.to_at))
    return tuple(found)
