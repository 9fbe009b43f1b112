"""Where a duty to destroy, and a bulk export, may stand, and what is done to them."""

from __future__ import annotations

from enum import StrEnum


class DestructionState(StrEnum):
    """Where a duty stands. The receiver has one that is ``asked``, the centre one that is ``filed``."""

    ASKED = "asked"
    FILED = "filed"
    CONFIRMED = "confirmed"
    WAIVED = "waived"


class DestructionEvent(StrEnum):
    """What is done to a duty."""

    FILE = "file"
    RETURN = "return"
    CONFIRM = "confirm"
    WAIVE = "waive"


class ExportState(StrEnum):
    """Where a bulk export stands. Only an approved one is used, before its time is over."""

    ASKED = "asked"
    APPROVED = "approved"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    USED = "used"


class ExportEvent(StrEnum):
    """What is done to a bulk export. The hub itself uses it, for the query that names it."""

    APPROVE = "approve"
    REFUSE = "refuse"
    CANCEL = "cancel"
    USE = "use"
