"""The name of a resource: immutable, and safe in tables, topics, DAG ids and URLs."""

from __future__ import annotations

import re
from typing import NewType

from schemas.errors import Fault, RejectedError

ResourceName = NewType("ResourceName", str)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,47}")


def resource_name(text: str) -> ResourceName:
    """Return ``text`` as the name of a resource.

    Raises:
        RejectedError: it does not match ``[a-z][a-z0-9_]{0,47}``.
    """
    if not _NAME.fullmatch(text):
        raise RejectedError(
            f"{text[:60]!r} is no name of a resource: a small letter, then up to 47 small letters, digits or underscores",
            code="resource.name",
            fault=Fault.CLIENT,
        )
    return ResourceName(text)


def data_topic(division: str, name: ResourceName) -> str:
    """Return the topic that carries a resource's rows."""
    return f"onedoor.{division}.{name}"


def event_topic(area: str) -> str:
    """Return the topic that carries the events of an area, such as ``registry``."""
    return f"onedoor.events.{area}"


def dead_letter_topic(topic: str) -> str:
    """Return the topic that holds what could not be taken from ``topic``."""
    return f"{topic}.dlq"
