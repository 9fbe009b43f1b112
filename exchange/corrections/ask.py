"""Asking for a correction: the row is named by its key, looked up in the store, and what was written is sealed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from catalog_registry.correction_records import CorrectionRecord
from catalog_registry.corrections import correction_type
from catalog_registry.rules import check_said, refused
from exchange.corrections.row import AnsweredRow, answered_key, given_key, let_through, look, proved_run
from exchange.corrections.words import Words, seal_words

if TYPE_CHECKING:
    from catalog_registry.registry import Registry
    from exchange.bootstrap import Hub


def ask_correction(
    hub: Hub,
    registry: Registry,
    resource: str,
    *,
    by: str,
    type_: str,
    content: str,
    evidence: str | None = None,
    fields: Iterable[str] = (),
    row: Mapping[str, str] | None = None,
    answer: AnsweredRow | None = None,
) -> CorrectionRecord:
    """Ask that a row, or a whole resource, be corrected; return the request.

    Args:
        hub: reads the store and has the keys.
        registry: takes the step; another role's than the hub's in the API.
        resource: name of a shared resource.
        by: id, client id or name of whoever asks.
        type_: ``1`` wrong information, ``2`` data quality, ``3`` other.
        content: what is wrong; it is kept sealed.
        evidence: what shows it, or where that is; it is kept sealed.
        fields: those that are wrong; none: not said.
        row: the key of the row: field → value; None: the whole resource, where ``answer`` names none.
        answer: the look-up of the own department that gave the row, which need not have given its key.

    Raises:
        RejectedError, DeniedError: as ``Corrections.ask_correction``; the type or the key is not one, or nothing is said.
    """
    kind = correction_type(type_)
    check_said(content, "what is wrong")
    if row is not None and answer is not None:
        raise refused("a row is named by its key or by the answer that gave it", "correction.key", where="row")
    keys = hub.keys
    words = Words(content.strip(), (evidence or "").strip() or None, None if row is None else dict(row))
    key_of = None
    if row is not None:
        key_of = given_key(row, keys)
    elif answer is not None:
        key_of = answered_key(hub, resource, answer, registry.principal(by).department)
    seen = None if key_of is None else look(hub, resource, key_of)
    return registry.ask_correction(
        resource,
        by=by,
        type_=kind,
        seal=lambda ident: seal_words(words, ident, resource, keys),
        fields=fields,
        row=None if seen is None else seen.row,
        newest=proved_run(hub, resource) if seen is None else None,
        let_through=() if seen is None else let_through(hub, seen),
    )
