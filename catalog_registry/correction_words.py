"""The words of correction requests: types, states, what is done to them, how one was closed, what those affected are told."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class CorrectionType(StrEnum):
    """What is the matter, by the codes of reference/domain.md §2: 1 信息有误, 2 数据质量, 3 其他."""

    WRONG = "1"
    QUALITY = "2"
    OTHER = "3"


TYPE_WORDS: Final = {
    CorrectionType.WRONG: "信息有误 wrong information",
    CorrectionType.QUALITY: "数据质量 data quality",
    CorrectionType.OTHER: "其他 other",
}


class CorrectionState(StrEnum):
    """Where a correction request stands. The provider has a submitted and an accepted one, the centre a contested one."""

    SUBMITTED = "submitted"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    CONTESTED = "contested"
    UPHELD = "upheld"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


class CorrectionEvent(StrEnum):
    """What is done to a correction request."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    HAND_OVER = "hand_over"
    CONTEST = "contest"
    UPHOLD = "uphold"
    OVERRULE = "overrule"
    RESOLVE = "resolve"
    CLOSE = "close"


class Outcome(StrEnum):
    """How the end of an accepted request was shown: the row's hash is another one, the row is gone, it is there where it was
    not, or the provider named a later run.
    """

    CHANGED = "changed"
    GONE = "gone"
    APPEARED = "appeared"
    DECLARED = "declared"


class NoticeKind(StrEnum):
    """What those are told who received it: that it is wrong; then that a later run corrected it, or that it was taken back."""

    WRONG = "wrong"
    CORRECTED = "corrected"
    DROPPED = "dropped"


REASONED: Final = (
    CorrectionEvent.REFUSE,
    CorrectionEvent.HAND_OVER,
    CorrectionEvent.CONTEST,
    CorrectionEvent.UPHOLD,
    CorrectionEvent.OVERRULE,
    CorrectionEvent.RESOLVE,
)
"""What is not done without a reason; the database enforces it in the history."""
