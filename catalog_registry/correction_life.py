"""The life of a correction request 异议: a user of data says what is wrong, its provider answers, a later run shows the change.

Whoever has the data asks; the provider accepts or refuses; a refusal may be contested, and the centre mediates. What is
accepted is a work order to the provider, and stays open until a later run shows that the row changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

from catalog_registry.acting import Duty
from catalog_registry.clocks import Rule
from catalog_registry.correction_records import CorrectionRecord
from catalog_registry.correction_words import CorrectionEvent, CorrectionState
from catalog_registry.open_clocks import OpenClock
from catalog_registry.states import Life
from catalog_registry.step_clock import StepClock, clock_of_step
from schemas.workdays import Calendar

_S, _DO = CorrectionState, CorrectionEvent

NEXT_OF_CORRECTION: Final[Mapping[tuple[CorrectionState, CorrectionEvent], CorrectionState]] = MappingProxyType(
    {
        (_S.SUBMITTED, _DO.ACCEPT): _S.ACCEPTED,
        (_S.SUBMITTED, _DO.REFUSE): _S.REFUSED,
        (_S.SUBMITTED, _DO.WITHDRAW): _S.WITHDRAWN,
        (_S.SUBMITTED, _DO.HAND_OVER): _S.SUBMITTED,
        (_S.REFUSED, _DO.CONTEST): _S.CONTESTED,
        (_S.CONTESTED, _DO.UPHOLD): _S.UPHELD,
        (_S.CONTESTED, _DO.OVERRULE): _S.ACCEPTED,
        (_S.CONTESTED, _DO.WITHDRAW): _S.WITHDRAWN,
        (_S.CONTESTED, _DO.HAND_OVER): _S.CONTESTED,
        (_S.ACCEPTED, _DO.HAND_OVER): _S.ACCEPTED,
        (_S.ACCEPTED, _DO.WITHDRAW): _S.WITHDRAWN,
        (_S.ACCEPTED, _DO.RESOLVE): _S.CLOSED,
        (_S.ACCEPTED, _DO.CLOSE): _S.CLOSED,
    }
)

CORRECTION_LIFE: Final = Life(
    "a correction request",
    code="correction.state",
    next=NEXT_OF_CORRECTION,
    at_the_end={
        _S.WITHDRAWN: "ask again",
        _S.UPHELD: "ask again with other evidence",
        _S.CLOSED: "ask again if the row is still wrong",
    },
)

_REVIEWER: Final = Duty("provider_reviewer", own=True)
_CENTRE: Final = Duty("registration_officer", own=False)
_ASKER: Final = (Duty("consumer", own=True), Duty("registration_officer", own=True))

ASKING: Final = (Duty("consumer", own=True), _CENTRE)
"""Who may ask: a consumer whose department has a grant in force, and the centre."""

DUTIES_OF_CORRECTION: Final[Mapping[CorrectionEvent, tuple[Duty, ...]]] = MappingProxyType(
    {
        CorrectionEvent.ACCEPT: (_REVIEWER,),
        CorrectionEvent.REFUSE: (_REVIEWER,),
        CorrectionEvent.WITHDRAW: _ASKER,
        CorrectionEvent.HAND_OVER: (_CENTRE,),
        CorrectionEvent.CONTEST: _ASKER,
        CorrectionEvent.UPHOLD: (_CENTRE,),
        CorrectionEvent.OVERRULE: (_CENTRE,),
        CorrectionEvent.RESOLVE: (_REVIEWER,),
        CorrectionEvent.CLOSE: (),
    }
)
"""The own department is the one that it is assigned to; of a withdrawal and a contest, the one that asked. The hub closes."""

OF_THE_ASKER: Final = (CorrectionEvent.WITHDRAW, CorrectionEvent.CONTEST)

KNOWING_RECEIVERS: Final = (
    *(Duty(role, own=False) for role in ("registration_officer", "security_officer", "auditor")),
    *(Duty(role, own=True) for role in ("provider_editor", "provider_reviewer")),
)
"""Who may see which departments received what is wrong; the own department is the one that it is assigned to."""

NOTIFIED: Final = (Duty("consumer", own=True),)
"""Who acknowledges a notice; the own department is the one that was told."""

RULES: Final[Mapping[CorrectionState, str]] = MappingProxyType(
    {
        CorrectionState.SUBMITTED: "correction.answer",
        CorrectionState.CONTESTED: "correction.mediate",
        CorrectionState.ACCEPTED: "correction.mend",
    }
)
"""The clock rule of each state that somebody has to lead out of: the provider, of one that is contested the centre."""


def waits_of(correction: CorrectionRecord) -> OpenClock | None:
    """Return the clock that a correction has open, None where it waits for nobody. A hand-over leaves it going."""
    name = RULES.get(correction.state)
    if name is None:
        return None
    return OpenClock(
        kind="correction",
        thing=correction.id,
        rule=name,
        department=None if correction.state is CorrectionState.CONTESTED else correction.assigned,
        resource=correction.resource,
        began=correction.state_at,
        title=correction.resource,
        of=correction.department,
        state=correction.state,
    )


def clock_of(correction: CorrectionRecord, *, rules: Mapping[str, Rule], of: Calendar, now: datetime) -> StepClock | None:
    """Return where the clock of a correction stands, None where it waits for nobody; as ``waits_of``."""
    waits = waits_of(correction)
    return None if waits is None else clock_of_step(waits, rules=rules, of=of, now=now)
