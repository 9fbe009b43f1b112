"""Who may make, change and end what the registry holds, as duties; and the one look at them before a change."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy.orm import Session

from catalog_registry.acting import TAKING_PART, Duty, check_duty, check_version
from catalog_registry.records import PrincipalRecord
from catalog_registry.rules import refused
from catalog_registry.store.rows import known_principal, principal_record
from schemas.errors import DeniedError, Fault

_CENTRE: Final = Duty("registration_officer", own=False)
_EDITOR: Final = Duty("provider_editor", own=True)
_REVIEWER: Final = Duty("provider_reviewer", own=True)
_SECURITY: Final = Duty("security_officer", own=False)
_SYSTEM_ADMINISTRATOR: Final = Duty("system_administrator", own=False)
_SECURITY_ADMINISTRATOR: Final = Duty("security_administrator", own=False)

OF_DEPARTMENTS: Final = (_CENTRE,)
OF_SYSTEMS: Final = (_EDITOR, _CENTRE)
OF_SOURCES: Final = (Duty("operator", own=False),)
"""Where rows are read is connected by the operator: an address that anybody could give would lead into the hub's network."""

OF_DRAFTS: Final = (_EDITOR,)
"""What is shared is changed by a revision, which goes round its own review."""

OF_ENTRIES: Final = (_EDITOR, _CENTRE)
OF_MAKING_GRANTS: Final = (_SECURITY,)
OF_ENDING_GRANTS: Final = (_SECURITY, _REVIEWER)
OF_MAKING_ACCOUNTS: Final = (_SYSTEM_ADMINISTRATOR,)
OF_SECRETS: Final = (_SYSTEM_ADMINISTRATOR,)
"""Besides a machine itself, of its own."""

OF_RIGHTS: Final = (_SECURITY_ADMINISTRATOR,)
"""Roles, and the networks that an account may ask from."""

OF_ENDING_ACCOUNTS: Final = (_SYSTEM_ADMINISTRATOR, _SECURITY_ADMINISTRATOR)

SEEING_ACCOUNTS: Final = tuple(
    Duty(role, own=False)
    for role in ("system_administrator", "security_administrator", "audit_administrator", "security_officer", "auditor")
)
"""Besides the account itself, of itself."""

SEEING_SOURCES: Final = (
    *(Duty(role, own=False) for role in ("operator", "registration_officer", "security_officer", "auditor")),
    *(Duty(role, own=True) for role in TAKING_PART),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a change, and the version that it decided on; 0: that there is none yet.

    What is changed without one is changed by the hub's owner, on the console.
    """

    by: str
    version: int


def permit(
    session: Session, asked: Asked | None, what: str, duties: tuple[Duty, ...], department: str, *, here: int | None, thing: str
) -> PrincipalRecord | None:
    """Return who asks, where it may and where it decided on what there is; None on the console.

    Args:
        session: of the change.
        asked: who asks; None: the console.
        what: what it wants to do, for the refusal.
        duties: any one of them is enough.
        department: whose it is.
        here: the version that it is at; None: there is none.
        thing: its name, for the refusal.

    Raises:
        DeniedError: it has no such duty, or it is another department's.
        RejectedError: there is one already (``registry.taken``), or it was changed meanwhile (``registry.conflict``).
    """
    if asked is None:
        return None
    who = principal_record(known_principal(session, asked.by))
    check_duty(who, what, duties, department)
    if here is not None and asked.version == 0:
        raise refused(
            f"there is one already: {thing}", "registry.taken", where=thing, remedy="change that one, or take another name"
        )
    check_version(asked.version, here or 0, thing)
    return who


def check_not_itself(who: PrincipalRecord | None, principal: str, what: str) -> None:
    """Raise ``DeniedError`` where somebody would give itself what somebody else must give."""
    if who is not None and who.id == principal:
        raise DeniedError(
            f"{who.name} may not {what} itself",
            code="registry.two_persons",
            remedy="let somebody else with the role do it",
            fault=Fault.CLIENT,
        )
