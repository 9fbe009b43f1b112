"""The life of a revision, a new version of a contract on its way into force, and who may take each of its steps."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from catalog_registry.acting import Duty
from catalog_registry.states import Life


class RevisionState(StrEnum):
    """Where a revision stands. The version before it is in force until it is ``in_force``.

    ``noticed``: those affected have been told, and the notice runs. ``held``: it is over, and somebody did not acknowledge.
    ``due``: nothing stands in its way any more, and the worker puts it in force.
    """

    PROPOSED = "proposed"
    REJECTED = "rejected"
    NOTICED = "noticed"
    HELD = "held"
    DUE = "due"
    IN_FORCE = "in_force"
    WITHDRAWN = "withdrawn"


class RevisionEvent(StrEnum):
    """What is done to a revision. ``hold`` and ``take_effect`` are the worker's."""

    REJECT = "reject"
    GIVE_NOTICE = "give_notice"
    APPROVE = "approve"
    HOLD = "hold"
    GO_ON = "go_on"
    TAKE_EFFECT = "take_effect"
    WITHDRAW = "withdraw"


_S, _DO = RevisionState, RevisionEvent

NEXT_OF_REVISION: Final[Mapping[tuple[RevisionState, RevisionEvent], RevisionState]] = MappingProxyType(
    {
        (_S.PROPOSED, _DO.REJECT): _S.REJECTED,
        (_S.PROPOSED, _DO.GIVE_NOTICE): _S.NOTICED,
        (_S.PROPOSED, _DO.APPROVE): _S.DUE,
        (_S.PROPOSED, _DO.WITHDRAW): _S.WITHDRAWN,
        (_S.NOTICED, _DO.HOLD): _S.HELD,
        (_S.NOTICED, _DO.TAKE_EFFECT): _S.IN_FORCE,
        (_S.NOTICED, _DO.WITHDRAW): _S.WITHDRAWN,
        (_S.HELD, _DO.GO_ON): _S.DUE,
        (_S.HELD, _DO.TAKE_EFFECT): _S.IN_FORCE,
        (_S.HELD, _DO.WITHDRAW): _S.WITHDRAWN,
        (_S.DUE, _DO.HOLD): _S.HELD,
        (_S.DUE, _DO.TAKE_EFFECT): _S.IN_FORCE,
        (_S.DUE, _DO.WITHDRAW): _S.WITHDRAWN,
    }
)
"""One that is held takes effect too: when the last of those affected has acknowledged late."""

_AGAIN: Final = "propose a version above it"
REVISION_LIFE: Final = Life(
    "a revision",
    code="revision.state",
    next=NEXT_OF_REVISION,
    at_the_end={_S.REJECTED: _AGAIN, _S.IN_FORCE: _AGAIN, _S.WITHDRAWN: _AGAIN},
)

TOLD_STATES: Final = (RevisionState.NOTICED, RevisionState.HELD, RevisionState.DUE)
"""States in which the version is settled and on its way, so that no other one goes into force."""

REVISION_REASONED: Final = (RevisionEvent.REJECT, RevisionEvent.HOLD, RevisionEvent.GO_ON, RevisionEvent.WITHDRAW)
"""What is not done without a reason; the database enforces it in the history."""

PROPOSING: Final = (Duty("provider_editor", own=True),)
REVIEWING: Final = (Duty("provider_reviewer", own=True), Duty("registration_officer", own=False))
ACKNOWLEDGING: Final = (Duty("consumer", own=True),)
"""The own department is the one that was told."""

DUTIES_OF_REVISION: Final[Mapping[RevisionEvent, tuple[Duty, ...]]] = MappingProxyType(
    {
        RevisionEvent.REJECT: REVIEWING,
        RevisionEvent.GIVE_NOTICE: REVIEWING,
        RevisionEvent.APPROVE: REVIEWING,
        RevisionEvent.GO_ON: (Duty("registration_officer", own=False),),
        RevisionEvent.WITHDRAW: (*PROPOSING, *REVIEWING),
    }
)
"""The own department is the resource's. What is not here nobody does: the worker takes it."""
