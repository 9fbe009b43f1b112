"""Who may do what to a resource and to an application: roles, the own department, and two persons for two steps. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from catalog_registry.records import PrincipalRecord
from catalog_registry.states import ApplicationEvent, ResourceEvent
from schemas.errors import DeniedError, Fault, RejectedError


@dataclass(frozen=True, slots=True)
class Duty:
    """A role that may do something; ``own``: only to what is its own department's."""

    role: str
    own: bool


_EDITOR: Final = Duty("provider_editor", own=True)
_REVIEWER: Final = Duty("provider_reviewer", own=True)
_CONSUMER: Final = Duty("consumer", own=True)
_CENTRE: Final = Duty("registration_officer", own=False)

DUTIES_OF_RESOURCE: Final[Mapping[ResourceEvent, tuple[Duty, ...]]] = MappingProxyType(
    {
        ResourceEvent.SUBMIT: (_EDITOR,),
        ResourceEvent.PUBLISH: (_REVIEWER, _CENTRE),
        ResourceEvent.REJECT: (_REVIEWER, _CENTRE),
        ResourceEvent.FREEZE: (_CENTRE,),
        ResourceEvent.THAW: (_CENTRE,),
        ResourceEvent.WITHDRAW: (_REVIEWER, _CENTRE),
        ResourceEvent.DISCARD: (_EDITOR, _CENTRE),
    }
)
"""The own department is the resource's."""

DUTIES_OF_APPLICATION: Final[Mapping[ApplicationEvent, tuple[Duty, ...]]] = MappingProxyType(
    {
        ApplicationEvent.ACCEPT_CHECK: (_CENTRE,),
        ApplicationEvent.RETURN: (_CENTRE,),
        ApplicationEvent.APPROVE: (_REVIEWER,),
        ApplicationEvent.REFUSE: (_REVIEWER,),
        ApplicationEvent.CANCEL: (_CONSUMER,),
        ApplicationEvent.HAND_OVER: (_CENTRE,),
    }
)
"""The own department is the one that it was assigned to; of a cancellation, the applicant's."""

APPLYING: Final = (_CONSUMER,)

RECEIVER: Final = "consumer"
RECEIVING: Final = (Duty(RECEIVER, own=False),)
"""Who is given data, as far as a grant allows."""

IMPORTING: Final = (_EDITOR, _CENTRE)
"""Who registers resources of the catalogue in bulk. An editor: drafts of the own department; the centre: whatever there is."""

OVERSEEING: Final = ("registration_officer", "security_officer", "auditor")
"""Roles that see every resource and every application."""

TAKING_PART: Final = ("provider_editor", "provider_reviewer", "consumer")
"""Roles that see what is their own department's, whatever its state."""

EVERYBODY: Final = (Duty("*", own=False),)
"""Every account that is not revoked."""

SEEING: Final = (*(Duty(role, own=False) for role in OVERSEEING), *(Duty(role, own=True) for role in TAKING_PART))
"""Who sees what is not for everybody: all of it, or what is the own department's."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What a principal may see of the registry: all of it, or what is its department's and what is published.

    ``department`` is None where it has no role that shows more than the published resources.
    """

    everything: bool
    department: str | None

    def of_department(self, *departments: str) -> bool:
        """Say whether it sees what is one of these departments' own."""
        return self.everything or (self.department is not None and self.department in departments)


def sight(who: PrincipalRecord) -> Sight:
    """Return what a principal may see; one that is revoked sees nothing that is not published."""
    held = set() if who.revoked_at is not None else set(who.roles)
    return Sight(bool(held & set(OVERSEEING)), who.department if held & set(TAKING_PART) else None)


def check_duty(who: PrincipalRecord, what: StrEnum | str, duties: tuple[Duty, ...], department: str) -> None:
    """Raise where a principal may not do something.

    Args:
        who: the principal that acts.
        what: what it wants to do, for the refusal.
        duties: any one of them is enough.
        department: the own department that a duty may ask for.

    Raises:
        DeniedError: it is revoked, has none of the roles, or has one that is for another department's.
    """
    doing = what.replace("_", " ")
    if who.revoked_at is not None:
        raise DeniedError(f"{who.name} is revoked and does nothing more", code="registry.revoked", fault=Fault.CLIENT)
    held = [duty for duty in duties if duty.role == "*" or duty.role in who.roles]
    if not held:
        raise DeniedError(
            f"{who.name} may not {doing}: that needs the role {' or '.join(duty.role for duty in duties)}",
            code="registry.role",
            remedy="let somebody with the role do it",
            fault=Fault.CLIENT,
        )
    if all(duty.own for duty in held) and who.department != department:
        raise DeniedError(
            f"{who.name} is of {who.department} and may not {doing} what is {department}'s",
            code="registry.other_department",
            remedy=f"let somebody of {department} do it",
            fault=Fault.CLIENT,
        )


def check_other_person(who: PrincipalRecord, before: Mapping[str, str], what: StrEnum) -> None:
    """Raise ``DeniedError`` where who acts now also took a step that somebody else must have taken.

    Args:
        who: the principal that acts.
        before: what was done by whom: principal's id → ``submitted it``, for the refusal.
        what: what it wants to do now.
    """
    if who.id in before:
        raise DeniedError(
            f"{who.name} {before[who.id]}, so somebody else must {what.replace('_', ' ')} it",
            code="registry.two_persons",
            remedy="one person does not submit and review the same thing",
            fault=Fault.CLIENT,
        )


def check_version(expected: int, here: int, what: str) -> None:
    """Raise ``RejectedError`` where something was changed since it was looked at. Nothing of the other change is lost.

    Args:
        expected: the version that the decision was made on.
        here: the version it is at.
        what: its name, for the refusal.
    """
    if expected != here:
        raise RejectedError(
            f"{what} is at version {here}, and this was decided on version {expected}",
            code="registry.conflict",
            where=what,
            remedy="look at what it is now, and decide again",
            fault=Fault.CLIENT,
        )
