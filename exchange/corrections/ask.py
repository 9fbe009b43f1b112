"""Asking for a correction: the row is named by its key, looked up in the store, and what was written is sealed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from catalog_registry.correction_records import CorrectionRecord
from catalog_registry.correction_words import CorrectionType
from catalog_registry.corrections import correction_type
from catalog_registry.rules import check_said, refused
from exchange.corrections.row import AnsweredRow, Looked, answered_key, given_key, let_through, look, proved_run
from exchange.corrections.words import Words, seal_words

if TYPE_CHECKING:
    from catalog_registry.registry import Registry
    from exchange.bootstrap import Hub


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that can be made: what is wrong, and the row as the store has it, looked at before the step is taken."""

    hub: Hub
    resource: str
    type: CorrectionType
    fields: tuple[str, ...]
    words: Words = field(repr=False)
    seen: Looked | None

    def ask(self, registry: Registry, *, by: str) -> CorrectionRecord:
        """Make the request, in the name of a principal, by a registry that may take steps, and return it.

        Raises:
            RejectedError, DeniedError: as ``Corrections.ask_correction``.
        """
        hub, seen = self.hub, self.seen
        return registry.ask_correction(
            self.resource,
            by=by,
            type_=self.type,
            seal=lambda ident: seal_words(self.words, ident, self.resource, hub.keys),
            fields=self.fields,
            row=None if seen is None else seen.row,
            newest=proved_run(hub, self.resource) if seen is None else None,
            let_through=() if seen is None else let_through(hub, seen),
        )


def prepared_correction(
    hub: Hub,
    resource: str,
    *,
    department: str,
    type_: str,
    content: str,
    evidence: str | None = None,
    fields: Iterable[str] = (),
    row: Mapping[str, str] | None = None,
    answer: AnsweredRow | None = None,
) -> Prepared:
    """Return a request that a row, or a whole resource, be corrected, which has not been made yet.

    Args:
        hub: reads the store and the ledger, and has the keys.
        resource: name of a shared resource.
        department: the one that asks.
        type_: ``1`` wrong information, ``2`` data quality, ``3`` other.
        content: what is wrong; it is kept sealed.
        evidence: what shows it, or where that is; it is kept sealed.
        fields: those that are wrong; none: not said.
        row: the key of the row: field → value; None: the whole resource, where ``answer`` names none.
        answer: the look-up of the department that gave the row, which need not have given its key.

    Raises:
        RejectedError: the type, the key or the answer is not one, nothing is said, or nothing of the resource has landed.
    """
    kind = correction_type(type_)
    check_said(content, "what is wrong")
    if row is not None and answer is not None:
        raise refused("a row is named by its key or by the answer that gave it", "correction.key", where="row")
    words = Words(content.strip(), (evidence or "").strip() or None, None if row is None else dict(row))
    key_of = None
    if row is not None:
        key_of = given_key(row, hub.keys)
    elif answer is not None:
        key_of = answered_key(hub, resource, answer, department)
    seen = None if key_of is None else look(hub, resource, key_of)
    return Prepared(hub, resource, kind, tuple(fields), words, seen)
