"""What every source is opened with. A connector's own settings extend these in its ``spec.py``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, TypeVar

from schemas.errors import Fault, RejectedError
from schemas.secret import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """The address of a source, with whatever secrets it holds; it does not print."""

    url: Secret[str]


S = TypeVar("S", bound=SourceSettings)


def settings_from(kind: type[S], url: Secret[str], options: dict[str, Any]) -> S:
    """Return the settings of a connector.

    Args:
        kind: the connector's settings class.
        url: the address.
        options: values of the other settings, by name.

    Raises:
        RejectedError: an option that the connector does not have, or one of the wrong kind (``source.option``).
    """
    known = {f.name for f in fields(kind)} - {"url"}
    unknown = sorted(set(options) - known)
    if unknown:
        raise RejectedError(
            f"no option {', '.join(unknown)}; expected one of {', '.join(sorted(known)) or 'none'}",
            code="source.option",
            fault=Fault.CLIENT,
        )
    settings = kind(url=url, **options)
    for name in known:
        given, default = getattr(settings, name), next(f.default for f in fields(kind) if f.name == name)
        if isinstance(default, int | float) and not (isinstance(given, int | float) and given >= 0):
            raise RejectedError(f"option {name} is no number of at least 0", code="source.option", fault=Fault.CLIENT)
    return settings
