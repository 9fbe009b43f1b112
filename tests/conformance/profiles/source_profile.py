"""What a profile of a source gives to the suite: tables at something real, and the hands of the department and of fate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.api import Capabilities, Source
from schemas.contract import LogicalType


@dataclass(frozen=True)
class Given:
    """A column of a table that a test needs. ``zone``: a timestamp that keeps one."""

    name: str
    kind: LogicalType
    required: bool = False
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    comment: str = ""
    zone: bool = True


@dataclass(frozen=True)
class Table:
    """A table that a test needs, with its rows. ``key`` is declared at the source, so that it keeps it unique."""

    name: str
    columns: Sequence[Given]
    rows: Sequence[Sequence[Any]] = ()
    key: Sequence[str] = ()
    comment: str = ""


@dataclass(frozen=True)
class SourceProfile:
    """One source under test.

    ``capabilities``: what ``open`` must say of itself. ``create``, ``insert``, ``update`` (column, from, to), ``delete``
    (column, value), ``drop`` and ``alter`` (column, new name, new kind or None) commit at once. ``away``: a source that does
    not answer. ``cut``: from now on a read that is under way loses its connection before its end. ``secrets``: texts that no
    error may show. ``waived``: names of tests that this source cannot pass, with the reason; a test that passes all the same
    fails the suite.
    """

    name: str
    capabilities: Capabilities
    open: Callable[[], Source]
    create: Callable[[Table], None]
    insert: Callable[[str, Sequence[Sequence[Any]]], None]
    update: Callable[[str, str, Any, Any], None]
    delete: Callable[[str, str, Any], None]
    drop: Callable[[str], None]
    alter: Callable[[str, str, str, LogicalType | None], None]
    away: Callable[[], Source]
    cut: Callable[[Source], None]
    secrets: Sequence[str] = ()
    waived: Mapping[str, str] = field(default_factory=dict)
