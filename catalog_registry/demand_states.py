"""The life of a demand 供需对接, and who may take each step of it: asked, given to a provider, promised or refused, fulfilled.

The centre appoints the department that is to provide; that department takes the responsibility, with a day by which the data
will be registered, or refuses on a ground of law. A refused demand may be given to another provider, and stays visible.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from catalog_registry.acting import Duty
from catalog_registry.states import Life


class DemandState(StrEnum):
    """Where a demand stands. The centre has a submitted one, the provider one that is assigned or accepted."""

    SUBMITTED = "submitted"
    ASSIGNED = "assigned"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    FULFILLED = "fulfilled"
    RETURNED = "returned"
    CANCELLED = "cancelled"


class DemandEvent(StrEnum):
    """What is done to a demand."""

    APPOINT = "appoint"
    RETURN = "return"
    ACCEPT = "accept"
    REFUSE = "refuse"
    FULFIL = "fulfil"
    CANCEL = "cancel"


_S, _DO = DemandState, DemandEvent

NEXT_OF_DEMAND: Final[Mapping[tuple[DemandState, DemandEvent], DemandState]] = MappingProxyType(
    {
        (_S.SUBMITTED, _DO.APPOINT): _S.ASSIGNED,
        (_S.SUBMITTED, _DO.RETURN): _S.RETURNED,
        (_S.SUBMITTED, _DO.CANCEL): _S.CANCELLED,
        (_S.ASSIGNED, _DO.APPOINT): _S.ASSIGNED,
        (_S.ASSIGNED, _DO.ACCEPT): _S.ACCEPTED,
        (_S.ASSIGNED, _DO.REFUSE): _S.REFUSED,
        (_S.ASSIGNED, _DO.CANCEL): _S.CANCELLED,
        (_S.ACCEPTED, _DO.APPOINT): _S.ASSIGNED,
        (_S.ACCEPTED, _DO.FULFIL): _S.FULFILLED,
        (_S.ACCEPTED, _DO.CANCEL): _S.CANCELLED,
        (_S.REFUSED, _DO.APPOINT): _S.ASSIGNED,
    }
)

DEMAND_LIFE: Final = Life(
    "a demand",
    code="demand.state",
    next=NEXT_OF_DEMAND,
    at_the_end={
        _S.FULFILLED: "apply for the resource that it names",
        _S.RETURNED: "ask again with what was missing",
        _S.CANCELLED: "ask again",
    },
)

_CENTRE: Final = Duty("registration_officer", own=False)
_REVIEWER: Final = Duty("provider_reviewer", own=True)
_CONSUMER: Final = Duty("consumer", own=True)

DEMANDING: Final = (_CONSUMER,)

DUTIES_OF_DEMAND: Final[Mapping[DemandEvent, tuple[Duty, ...]]] = MappingProxyType(
    {
        DemandEvent.APPOINT: (_CENTRE,),
        DemandEvent.RETURN: (_CENTRE,),
        DemandEvent.ACCEPT: (_REVIEWER,),
        DemandEvent.REFUSE: (_REVIEWER,),
        DemandEvent.FULFIL: (Duty("provider_editor", own=True), _REVIEWER),
        DemandEvent.CANCEL: (_CONSUMER,),
    }
)
"""The own department is the one that was appointed; of a cancellation, the one that asked."""

DEMAND_REASONED: Final = (DemandEvent.RETURN, DemandEvent.REFUSE)
"""What is not done without a reason; the database enforces it in the history."""

LISTED: Final = (_S.SUBMITTED, _S.ASSIGNED, _S.ACCEPTED, _S.REFUSED, _S.FULFILLED)
"""What stands in the list of demands 需求清单: all but what was taken back or was not in order."""

TAKEN: Final = (_S.ACCEPTED, _S.FULFILLED)
"""What stands in the list of responsibilities 责任清单."""
