"""Finds the connectors: each folder of ``impl`` with a ``spec.py`` is one. There is no list to edit."""

from __future__ import annotations

import difflib
import pkgutil
import re
from functools import cache
from importlib import import_module
from typing import Any

from connectors import impl
from connectors.api import ConnectorSpec, Source
from connectors.settings import SourceSettings, settings_from
from schemas.clock import Clock, SystemClock
from schemas.errors import DefectError, Fault, RejectedError
from schemas.secret import Secret

_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*)://", re.IGNORECASE)


@cache
def specs() -> tuple[ConnectorSpec, ...]:
    """Return the spec of every connector, ordered by name. Imports no driver.

    Raises:
        DefectError: two connectors have the same name or answer to the same URL scheme.
    """
    folders = [f"{impl.__name__}.{folder.name}.spec" for folder in pkgutil.iter_modules(impl.__path__) if folder.ispkg]
    found: list[ConnectorSpec] = sorted((import_module(name).SPEC for name in folders), key=lambda s: str(s.name))
    for what in ([s.name for s in found], [scheme for s in found for scheme in s.schemes]):
        double = sorted({w for w in what if what.count(w) > 1})
        if double:
            raise DefectError(f"two connectors claim {', '.join(double)}", code="connector.double")
    return tuple(found)


def spec(name: str) -> ConnectorSpec:
    """Return the spec of that name. Raises ``RejectedError`` naming near ones."""
    for found in specs():
        if found.name == name:
            return found
    names = [s.name for s in specs()]
    near = difflib.get_close_matches(name, names) or names
    raise RejectedError(f"no connector {name!r}; there is {', '.join(near)}", code="connector.unknown", fault=Fault.CLIENT)


def spec_of_url(url: Secret[str] | str) -> ConnectorSpec:
    """Return the spec that answers to a URL's scheme. Raises ``RejectedError``, which does not repeat the URL."""
    text = url.reveal() if isinstance(url, Secret) else url
    match = _SCHEME.match(text.strip())
    known = sorted(scheme for s in specs() for scheme in s.schemes)
    if match is None:
        raise RejectedError(
            f"the address of the source is no URL; expected <scheme>://… with a scheme of {', '.join(known)}",
            code="source.url",
            remedy="give an address such as postgresql://user:password@host:5432/database",
            fault=Fault.CLIENT,
        )
    scheme = match.group(1).lower()
    for found in specs():
        if scheme in found.schemes:
            return found
    raise RejectedError(
        f"no connector answers to the URL scheme {scheme}; expected one of {', '.join(known)}",
        code="source.scheme",
        fault=Fault.CLIENT,
    )


def open_source(url: Secret[str] | str, *, clock: Clock | None = None, **options: Any) -> Source:
    """Return a source, chosen by its URL's scheme. It connects when it is first asked something.

    Args:
        url: the address; nothing of it appears in an error but host, port and database.
        clock: tells the instant of each read (``RawBatch.as_of``); default the machine's.
        options: the connector's settings by name, such as ``lock_timeout_s``.

    Raises:
        RejectedError: no URL, an unknown scheme, or an unknown option.
    """
    secret = url if isinstance(url, Secret) else Secret(url)
    found = spec_of_url(secret)
    module, _, name = found.entry.partition(":")
    settings: SourceSettings = settings_from(found.settings, secret, options)
    source: Source = getattr(import_module(module), name)(settings, clock or SystemClock())
    return source
