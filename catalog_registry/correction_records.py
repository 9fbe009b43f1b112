"""What the registry answers about correction requests: plain values, read once. A row is named as reports name it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from catalog_registry.correction_words import CorrectionState, CorrectionType, NoticeKind, Outcome
from schemas.resource import ResourceName


@dataclass(frozen=True, slots=True)
class RowSeen:
    """A row as the store has it at one instant; no value of it.

    ``name`` is how reports name it: its key, or a pseudonym where a part of the key is personal. ``key`` is the landed key as
    texts, keyed hashes as hex. ``hash`` is the stored row hash, None where no such row is served. ``run`` is the run that the
    row is of, of one that is not there the newest proved run; ``contract_version`` the one that the newest run landed under.
    """

    name: str
    key: tuple[str, ...]
    hash: bytes | None
    run: str
    contract_version: str


@dataclass(frozen=True, slots=True)
class ProvedRun:
    """A run of a resource that is proved: when it began to read, and when what it read was served."""

    id: str
    contract_version: str
    started_at: datetime
    ended_at: datetime


@dataclass(frozen=True, slots=True)
class CorrectionRecord:
    """A correction request, of one row or of a whole resource (``row`` is None), and how far it is.

    ``asker``, ``answered_by`` and ``decided_by`` are ids of principals; ``assigned`` is the department whose reviewer answers.
    ``fields`` are those that are wrong, none: not said. Hashes are keyed, in hex, None where the row was not there. What was
    written is in ``sealed``, for ``exchange.corrections`` to open. ``let_through`` names the grants with a row filter that give
    the row as it was disputed. ``state_at`` is the instant at which it came into its state.
    """

    id: str
    resource: ResourceName
    type: CorrectionType
    department: str
    asker: str
    fields: tuple[str, ...]
    row: str | None
    state: CorrectionState
    version: int
    assigned: str
    answered_by: str | None
    decided_by: str | None
    outcome: Outcome | None
    run_before: str | None
    hash_before: str | None
    run_after: str | None
    hash_after: str | None
    made_at: datetime
    changed_at: datetime
    state_at: datetime
    row_key: tuple[str, ...] | None = field(repr=False)
    contract_version: str | None = field(repr=False)
    let_through: tuple[str, ...] = field(repr=False)
    sealed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Received:
    """A department that received what is wrong: surely, or it may have, where the ledger holds only how many rows it was given.

    ``detail`` is JSON: how often, from when to when, by which systems, for which cases, with which receipts.
    """

    department: str
    certain: bool
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class NoticeRecord:
    """What one department was told of one correction, and whether it acknowledged that. ``row`` is named as there."""

    id: str
    correction: str
    kind: NoticeKind
    department: str
    certain: bool
    detail: Mapping[str, Any]
    resource: ResourceName
    row: str | None
    fields: tuple[str, ...]
    run_after: str | None
    at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
