"""The lives of a resource and of an application: each one table and one pure function that refuses what the table lacks.

A resource is drafted, reviewed and published; frozen, it is shared with nobody until it is thawed; withdrawn, never again; a
draft that was a mistake is discarded. An application is checked by the centre, then answered by the provider
(reference/domain.md §1, the workflow that all rules share).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Generic, TypeVar

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
    DISCARDED = "discarded"


class ResourceEvent(StrEnum):
    """What is done to a resource."""

    SUBMIT = "submit"
    PUBLISH = "publish"
    REJECT = "reject"
    FREEZE = "freeze"
    THAW = "thaw"
    WITHDRAW = "withdraw"
    DISCARD = "discard"


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
        (_R.DRAFT, _DO.DISCARD): _R.DISCARDED,
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


@dataclass(frozen=True, slots=True)
class Life(Generic[State, Event]):
    """The life of a kind of thing: one table, and one pure function that refuses what the table does not have.

    ``what`` is its word with its article, ``code`` the refusal's, ``next`` the table, and ``at_the_end``
    says, for each state that nothing leads out of, what can be done instead.
    """

    what: str
    code: str
    next: Mapping[tuple[State, Event], State]
    at_the_end: Mapping[State, str]

    def advance(self, state: State, event: Event) -> State:
        """Return the state after an event.

        Raises:
            RejectedError: the table does not have the pair; what could be done instead is told.
        """
        after = self.next.get((state, event))
        if after is None:
            able = " or ".join(_words(before) for before, possible in self.next if possible == event)
            possible = [_words(event) for before, event in self.next if before == state]
            raise RejectedError(
                f"{_words(event)} is not for {self.what} that is {_words(state)}, but for one that is {able}",
                code=self.code,
                remedy=f"what can be done with it: {', '.join(possible)}" if possible else self.at_the_end[state],
                fault=Fault.CLIENT,
            )
        return after


RESOURCE_LIFE: Final = Life(
    "a resource",
    code="resource.state",
    next=NEXT_OF_RESOURCE,
    at_the_end=dict.fromkeys((_R.WITHDRAWN, _R.DISCARDED), "register what replaces it under another name"),
)
APPLICATION_LIFE: Final = Life(
    "an application",
    code="application.state",
    next=NEXT_OF_APPLICATION,
    at_the_end={
        _A.RETURNED: "apply again with what was missing",
        _A.GRANTED: "revoke its grant to end it, or apply again for more",
        _A.REFUSED: "apply again on other grounds",
        _A.CANCELLED: "apply again",
    },
)


def diagram(table: Mapping[tuple[State, Event], State], *, begins: State) -> str:
    """Return a table as a Mermaid state diagram: where a life begins, every step, every state that nothing leads out of."""
    left = {state for state, _ in table}
    ends = dict.fromkeys(after for after in table.values() if after not in left)
    steps = [f"    {state} --> {after}: {event}" for (state, event), after in table.items()]
    return "\n".join(["stateDiagram-v2", f"    [*] --> {begins}", *steps, *(f"    {end} --> [*]" for end in ends)]) + "\n"


def _words(name: StrEnum) -> str:
    return name.replace("_", " ")
