"""The lives of a resource and of an application: each one table and one pure function that refuses what the table lacks.

A resource is drafted, reviewed and published; frozen, it is shared with nobody until it is thawed; withdrawn, never again. An
application is checked by the centre, then answered by the provider (reference/domain.md §1, the workflow that all rules share).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, TypeVar

from schemas.errors import Fault, RejectedError

State = TypeVar("State", bound=StrEnum)
Event = TypeVar("Event", bound=StrEnum)


class ResourceState(StrEnum):
    """Where a resource stands. Only a published one is shared."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    REJECTED = "rejected"
    PUBLISHED = "published"
    FROZEN = "frozen"
    WITHDRAWN = "withdrawn"


class ResourceEvent(StrEnum):
    """What is done to a resource."""

    SUBMIT = "submit"
    PUBLISH = "publish"
    REJECT = "reject"
    FREEZE = "freeze"
    THAW = "thaw"
    WITHDRAW = "withdraw"


class ApplicationState(StrEnum):
    """Where an application stands. The centre has a submitted one, the provider one in ``provider_review``."""

    SUBMITTED = "submitted"
    PROVIDER_REVIEW = "provider_review"
    RETURNED = "returned"
    GRANTED = "granted"
    REFUSED = "refused"
    CANCELLED = "cancelled"


class ApplicationEvent(StrEnum):
    """What is done to an application."""

    ACCEPT_CHECK = "accept_check"
    RETURN = "return"
    APPROVE = "approve"
    REFUSE = "refuse"
    CANCEL = "cancel"
    HAND_OVER = "hand_over"


_R, _DO, _A, _ANSWER = ResourceState, ResourceEvent, ApplicationState, ApplicationEvent

NEXT_OF_RESOURCE: Final[Mapping[tuple[ResourceState, ResourceEvent], ResourceState]] = MappingProxyType(
    {
        (_R.DRAFT, _DO.SUBMIT): _R.SUBMITTED,
        (_R.REJECTED, _DO.SUBMIT): _R.SUBMITTED,
        (_R.SUBMITTED, _DO.PUBLISH): _R.PUBLISHED,
        (_R.SUBMITTED, _DO.REJECT): _R.REJECTED,
        (_R.PUBLISHED, _DO.FREEZE): _R.FROZEN,
        (_R.FROZEN, _DO.THAW): _R.PUBLISHED,
        (_R.PUBLISHED, _DO.WITHDRAW): _R.WITHDRAWN,
        (_R.FROZEN, _DO.WITHDRAW): _R.WITHDRAWN,
    }
)

NEXT_OF_APPLICATION: Final[Mapping[tuple[ApplicationState, ApplicationEvent], ApplicationState]] = MappingProxyType(
    {
        (_A.SUBMITTED, _ANSWER.ACCEPT_CHECK): _A.PROVIDER_REVIEW,
        (_A.SUBMITTED, _ANSWER.RETURN): _A.RETURNED,
        (_A.SUBMITTED, _ANSWER.CANCEL): _A.CANCELLED,
        (_A.SUBMITTED, _ANSWER.HAND_OVER): _A.SUBMITTED,
        (_A.PROVIDER_REVIEW, _ANSWER.APPROVE): _A.GRANTED,
        (_A.PROVIDER_REVIEW, _ANSWER.REFUSE): _A.REFUSED,
        (_A.PROVIDER_REVIEW, _ANSWER.CANCEL): _A.CANCELLED,
        (_A.PROVIDER_REVIEW, _ANSWER.HAND_OVER): _A.PROVIDER_REVIEW,
    }
)

_AT_THE_END: Final[Mapping[StrEnum, str]] = MappingProxyType(
    {
        _R.WITHDRAWN: "register what replaces it under another name",
        _A.RETURNED: "apply again with what was missing",
        _A.GRANTED: "revoke its grant to end it, or apply again for more",
        _A.REFUSED: "apply again on other grounds",
        _A.CANCELLED: "apply again",
    }
)


def advance_resource(state: ResourceState, event: ResourceEvent) -> ResourceState:
    """Return the state of a resource after an event.

    Raises:
        RejectedError: ``resource.state``, the table does not have the pair; what could be done instead is told.
    """
    after = NEXT_OF_RESOURCE.get((state, event))
    if after is None:
        able = _able(NEXT_OF_RESOURCE, event)
        raise RejectedError(
            f"{_words(event)} is not for a resource that is {_words(state)}, but for one that is {able}",
            code="resource.state",
            remedy=_instead(NEXT_OF_RESOURCE, state),
            fault=Fault.CLIENT,
        )
    return after


def advance_application(state: ApplicationState, event: ApplicationEvent) -> ApplicationState:
    """Return the state of an application after an event.

    Raises:
        RejectedError: ``application.state``, the table does not have the pair; what could be done instead is told.
    """
    after = NEXT_OF_APPLICATION.get((state, event))
    if after is None:
        able = _able(NEXT_OF_APPLICATION, event)
        raise RejectedError(
            f"{_words(event)} is not for an application that is {_words(state)}, but for one that is {able}",
            code="application.state",
            remedy=_instead(NEXT_OF_APPLICATION, state),
            fault=Fault.CLIENT,
        )
    return after


def diagram(table: Mapping[tuple[State, Event], State], *, begins: State) -> str:
    """Return a table as a Mermaid state diagram: where a life begins, every step, every state that nothing leads out of."""
    left = {state for state, _ in table}
    ends = dict.fromkeys(after for after in table.values() if after not in left)
    steps = [f"    {state} --> {after}: {event}" for (state, event), after in table.items()]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {begins}", *steps, *(f"    {end} --> [*]" for end in ends)]) + "\n"


def _able(table: Mapping[tuple[State, Event], State], event: Event) -> str:
    return " or ".join(_words(before) for before, possible in table if possible == event)


def _instead(table: Mapping[tuple[State, Event], State], state: State) -> str:
    possible = [_words(event) for before, event in table if before == state]
    return f"what can be done with it: {', '.join(possible)}" if possible else _AT_THE_END[state]


def _words(name: StrEnum) -> str:
    return name.replace("_", " ")
