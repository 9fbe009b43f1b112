"""A data contract as the hub works with it. ``schemas.odcs`` reads it from, and writes it to, ODCS v3.1 YAML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from enum import StrEnum
from typing import Any

from schemas.resource import ResourceName


class LogicalType(StrEnum):
    """What a value means, whatever the system that holds it. ``schemas.types`` maps each to Arrow, SQL and JSON Schema."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"  # exact decimal with precision and scale
    DOUBLE = "double"  # ODCS: number with physicalType of a binary float
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"  # an instant; a source without zones means Asia/Shanghai
    TIME = "time"
    BYTES = "bytes"


class Normalise(StrEnum):
    """A repair that the contract names; anything else that is wrong is set aside, not mended."""

    TRIM = "trim"  # white space at both ends, ideographic space too
    HALFWIDTH = "halfwidth"  # full width forms U+FF01-FF5E and U+3000 -> ASCII
    UPPER = "upper"  # x -> X and all other letters
    LOWER = "lower"
    COLLAPSE = "collapse"  # runs of white space -> one blank
    EMPTY_NULL = "empty_null"  # '' -> null
    ID_18 = "id_18"  # a citizen id of 15 digits -> 18
    DATE_FORMS = "date_forms"  # 2016/7/27, 20160727, 2016.7.27, 2016年7月27日 -> 2016-07-27
    FOREVER = "forever"  # 长期, 永久 as a date -> 9999-12-31


@dataclass(frozen=True, slots=True)
class Reference:
    """Each value must stand in ``field`` of ``resource``; the own resource for a tree."""

    resource: ResourceName
    field: str


@dataclass(frozen=True, slots=True)
class Field:
    """One field 信息项 of a resource.

    ``source_name`` is the column at the source; ``name`` matches ``[a-z][a-z0-9_]{0,47}``. ``key`` is the 1-based position in
    the primary key. ``code`` names a rule of ``schemas.codes`` such as ``citizen_id``. ``personal`` fields travel and rest
    sealed; ``lookup`` keeps a keyed hash of a personal field beside the sealed row. ``values`` is the closed set of allowed
    texts. ``minimum`` and ``maximum`` are inclusive, in the text form of ``schemas.canonical``.
    """

    name: str
    logical_type: LogicalType
    source_name: str
    title: str = ""
    description: str = ""
    physical_type: str | None = None
    required: bool = False
    key: int | None = None
    personal: bool = False
    lookup: bool = False
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    precision: int | None = None
    scale: int | None = None
    minimum: str | None = None
    maximum: str | None = None
    values: tuple[str, ...] = ()
    code: str | None = None
    normalise: tuple[Normalise, ...] = ()
    references: Reference | None = None


@dataclass(frozen=True, slots=True)
class CursorSpec:
    """How later loads find what changed.

    ``declared_lag_s`` is None where the bound is to be computed from the source's open sessions; otherwise the source promises
    that no row commits later than this many seconds after the cursor's value. ``overlap_s`` is read again each time.
    """

    field: str
    declared_lag_s: int | None = None
    overlap_s: int = 60


@dataclass(frozen=True, slots=True)
class Limits:
    """Shares, 0 to 1. ``bad``: rows set aside of rows read. ``shrink``: keys gone of keys held. Above either a run stops."""

    bad: float = 0.05
    shrink: float = 0.2


@dataclass(frozen=True, slots=True)
class CaseRole:
    """Which fields tell the hub of a case (role ``case``). ``open_states`` are the state's values of an open case."""

    case_number: str
    item_code: str
    holder_type: str
    holder_number: str
    state: str
    open_states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LicenceRole:
    """Which fields tell the hub of an e-licence: the contract's role ``licence``."""

    licence_type: str
    licence_number: str
    holder_type: str
    holder_number: str
    state: str
    valid_from: str
    valid_to: str
    trust_level: str


@dataclass(frozen=True, slots=True)
class DataContract:
    """The terms on which a source's table becomes a shared resource.

    ``fields`` are in the contract's order, which is the order of every row that the hub makes. ``document`` is the whole ODCS
    document as read, with the parts that the hub does not know, so that writing it again loses nothing.
    ``schedule`` is a cron expression from the SLA, in Asia/Shanghai; None: only when asked.
    """

    name: ResourceName
    version: str
    title: str
    department: str
    system: str
    source: str
    table: str
    fields: tuple[Field, ...]
    description: str = ""
    status: str = "active"
    cursor: CursorSpec | None = None
    limits: Limits = Limits()
    schedule: str | None = None
    partitions: int = 1
    case_role: CaseRole | None = None
    licence_role: LicenceRole | None = None
    document: Mapping[str, Any] = dataclass_field(default_factory=dict, compare=False, repr=False)

    @property
    def key(self) -> tuple[Field, ...]:
        """The fields of the primary key, in its order."""
        return tuple(sorted((f for f in self.fields if f.key is not None), key=lambda f: f.key or 0))

    @property
    def personal(self) -> tuple[Field, ...]:
        """The personal fields, in the contract's order."""
        return tuple(f for f in self.fields if f.personal)

    @property
    def clear(self) -> tuple[Field, ...]:
        """The fields that are not personal, in the contract's order."""
        return tuple(f for f in self.fields if not f.personal)

    def field(self, name: str) -> Field:
        """Return the field of that name. Raises ``KeyError`` where there is none."""
        for f in self.fields:
            if f.name == name:
                return f
        raise KeyError(name)
