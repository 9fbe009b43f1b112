"""What a new version of a contract would change, and who would be affected, before anything is registered."""

from __future__ import annotations

from dataclasses import dataclass

from catalog_registry.affected import Affected, affected
from catalog_registry.grants import Grants
from catalog_registry.rules import refused
from schemas.evolution import Evolution, diff
from schemas.odcs import read_contract


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
