"""What pg_catalog says of tables, columns, keys, and of the sessions that may still write."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from schemas.contract import LogicalType

Connection = psycopg.Connection[tuple[Any, ...]]

TEXT: Final = frozenset({"text", "varchar", "bpchar", "name", "char", "citext"})
WHOLE: Final = frozenset({"int2", "int4", "int8", "oid"})
_STREAMED: Final = frozenset(
    {
        "bool",
        "int2",
        "int4",
        "int8",
        "float4",
        "float8",
        "text",
        "varchar",
        "bpchar",
        "name",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "bytea",
        "json",
        "jsonb",
    }
)
_UNORDERED: Final = frozenset({"json", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle"})

_READABLE: Final[dict[LogicalType, frozenset[str]]] = {
    LogicalType.INTEGER: TEXT | WHOLE | {"numeric"},
    LogicalType.NUMBER: TEXT | WHOLE | {"numeric", "money", "float4", "float8"},
    LogicalType.DOUBLE: TEXT | WHOLE | {"numeric", "float4", "float8"},
    LogicalType.BOOLEAN: TEXT | {"bool", "int2", "int4", "int8", "bit"},
    LogicalType.DATE: TEXT | {"date", "timestamp", "timestamptz"},
    LogicalType.TIMESTAMP: TEXT | {"date", "timestamp", "timestamptz"},
    LogicalType.TIME: TEXT | {"time"},
    LogicalType.BYTES: TEXT | {"bytea"},
}


@dataclass(frozen=True, slots=True)
class Relation:
    """A table or a view. ``kind``: r table, p partitioned, v view, m materialised view, f foreign table."""

    oid: int
    schema: str
    name: str
    kind: str
    rows: int | None
    comment: str


@dataclass(frozen=True, slots=True)
class NativeColumn:
    """A column; ``base`` is the internal name of its type (of a domain, what is under it), ``full`` how SQL writes that."""

    name: str
    native: str
    base: str
    full: str
    category: str
    typmod: int
    nullable: bool
    comment: str
    readable: bool

    @property
    def cast(self) -> str | None:
        """The type to cast to in SQL where the driver does not stream this one exactly; None: as it is.

        ``numeric`` it would: as text, exactly, but made in 0.5 µs a value where the server takes 0.1.
        """
        if self.base in _STREAMED or self.category == "E":
            return None
        return {"oid": "int8", "money": "numeric"}.get(self.base, "text")

    @property
    def ordered(self) -> bool:
        """Whether a key may hold it."""
        return self.base not in _UNORDERED

    @property
    def logical(self) -> LogicalType:
        """ODCS' word for its values."""
        match self.base:
            case "int2" | "int4" | "int8" | "oid":
                return LogicalType.INTEGER
            case "numeric":
                whole = self.scale == 0 and self.precision is not None and self.precision <= 18
                return LogicalType.INTEGER if whole else LogicalType.NUMBER
            case "money":
                return LogicalType.NUMBER
            case "float4" | "float8":
                return LogicalType.DOUBLE
            case "bool":
                return LogicalType.BOOLEAN
            case "date":
                return LogicalType.DATE
            case "timestamp" | "timestamptz":
                return LogicalType.TIMESTAMP
            case "time":
                return LogicalType.TIME
            case "bytea":
                return LogicalType.BYTES
            case _:
                return LogicalType.STRING

    @property
    def max_length(self) -> int | None:
        """Characters that a text may have."""
        return self.typmod - 4 if self.base in ("varchar", "bpchar") and self.typmod >= 4 else None

    @property
    def precision(self) -> int | None:
        """Digits that a number may have."""
        return ((self.typmod - 4) >> 16) & 0xFFFF if self.base == "numeric" and self.typmod >= 4 else None

    @property
    def scale(self) -> int | None:
        """Digits after the point; PostgreSQL allows negative ones."""
        if self.base != "numeric" or self.typmod < 4:
            return None
        scale = (self.typmod - 4) & 0x7FF
        return scale - 0x800 if scale & 0x400 else scale

    def fits(self, logical: LogicalType) -> bool:
        """Say whether its values can be read as a logical type."""
        return self.base != "bytea" if logical is LogicalType.STRING else self.base in _READABLE[logical]


_RELATION: Final = """
SELECT c.oid, n.nspname, c.relname, c.relkind::text, CASE WHEN c.reltuples >= 0 THEN c.reltuples::int8 END,
       coalesce(obj_description(c.oid, 'pg_class'), ''), pg_table_is_visible(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""
_OWN: Final = " AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"
_COLUMNS: Final = """
WITH RECURSIVE base (attnum, type, typmod) AS (
    SELECT attnum, atttypid, atttypmod FROM pg_attribute WHERE attrelid = %(oid)s AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT b.attnum, t.typbasetype, t.typtypmod FROM base b JOIN pg_type t ON t.oid = b.type WHERE t.typtype = 'd'
)
SELECT a.attname, format_type(a.atttypid, a.atttypmod), t.typname, format_type(t.oid, -1), t.typtype = 'e', b.typmod,
       NOT (a.attnotnull OR own.typnotnull), coalesce(col_description(a.attrelid, a.attnum), ''),
       has_column_privilege(a.attrelid, a.attnum, 'SELECT')
FROM pg_attribute a JOIN pg_type own ON own.oid = a.atttypid
JOIN base b ON b.attnum = a.attnum JOIN pg_type t ON t.oid = b.type AND t.typtype <> 'd'
WHERE a.attrelid = %(oid)s ORDER BY a.attnum
"""
_KEY: Final = """
SELECT a.attname FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = %s AND i.indisprimary AND k.place <= i.indnkeyatts ORDER BY k.place
"""
_UNIQUE: Final = """
SELECT array_agg(a.attname::text) FROM pg_index i CROSS JOIN unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum AND k.attnum > 0
WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid
"""
# The tables under a view or a partitioned table, however deep.
_UNDER: Final = """
WITH RECURSIVE under (oid) AS (
    SELECT %s::oid
    UNION
    SELECT n.oid FROM under u CROSS JOIN LATERAL (
        SELECT d.refobjid AS oid FROM pg_rewrite r
        JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid AND d.refclassid = 'pg_class'::regclass
        WHERE r.ev_class = u.oid
        UNION ALL
        SELECT i.inhrelid FROM pg_inherits i WHERE i.inhparent = u.oid
    ) n
)
SELECT bool_or(c.relkind = 'f'), bool_or(c.relkind = 'm'),
       bool_or(EXISTS (SELECT FROM pg_subscription_rel s WHERE s.srrelid = c.oid))
FROM under JOIN pg_class c ON c.oid = under.oid
"""
_SIGHT: Final = """
SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE'), pg_is_in_recovery(),
       (SELECT reset_val FROM pg_settings WHERE name = 'TimeZone')
"""


def find(connection: Connection, table: str) -> Relation | None:
    """Return the relation of that name: visible on the search path, or ``schema.name``; names are taken as they are written."""
    parts = [(None, table)] + [(table[:i], table[i + 1 :]) for i, c in enumerate(table) if c == "."]
    for schema, name in parts:
        if schema is None:
            row = connection.execute(_RELATION + " AND c.relname = %s AND pg_table_is_visible(c.oid)", (name,)).fetchone()
        else:
            row = connection.execute(_RELATION + " AND c.relname = %s AND n.nspname = %s", (name, schema)).fetchone()
        if row is not None:
            return Relation(*row[:6])
    return None


def near_tables(connection: Connection, table: str) -> Sequence[str]:
    """Return up to five names of tables and views near to a name, as a contract would write them."""
    rows = connection.execute(_RELATION + _OWN).fetchall()
    names = {(str(r[2]) if r[6] else f"{r[1]}.{r[2]}"): str(r[2]) for r in rows}
    return near(table, names)


def near(name: str, names: dict[str, str]) -> Sequence[str]:
    """Return up to five of the names that look like one; ``names`` maps what is shown to what is compared."""
    folded = name.casefold()
    wanted = {folded, folded.rpartition(".")[2]}
    same = [shown for shown, compared in names.items() if compared.casefold() in wanted]
    every = sorted({compared.casefold() for compared in names.values()})
    close = [c for w in sorted(wanted, key=len) for c in difflib.get_close_matches(w, every, n=5, cutoff=0.55)]
    found = [*same, *(s for c in close for s, compared in names.items() if compared.casefold() == c)]
    return list(dict.fromkeys(found))[:5]


def columns(connection: Connection, oid: int) -> dict[str, NativeColumn]:
    """Return the columns of a relation by name, in its order."""
    out = {}
    for name, native, base, full, is_enum, typmod, nullable, comment, readable in connection.execute(_COLUMNS, {"oid": oid}):
        out[name] = NativeColumn(name, native, base, full, "E" if is_enum else "", typmod, nullable, comment, readable)
    return out


def primary_key(connection: Connection, oid: int) -> Sequence[str]:
    """Return the columns of the primary key, in its order."""
    return [row[0] for row in connection.execute(_KEY, (oid,))]


def is_unique(connection: Connection, oid: int, key: Sequence[str]) -> bool:
    """Say whether the server itself keeps two rows from having the same key."""
    return any(None not in row[0] and set(row[0]) <= set(key) for row in connection.execute(_UNIQUE, (oid,)))


@dataclass(frozen=True, slots=True)
class Sight:
    """What the account can see of who writes. ``zone`` is the sessions' time zone unless they set another."""

    all_sessions: bool
    standby: bool
    zone: str


def sight(connection: Connection) -> Sight:
    """Return what this account can see."""
    row = connection.execute(_SIGHT).fetchone()
    assert row is not None
    return Sight(*row)


def written_elsewhere(connection: Connection, oid: int) -> str | None:
    """Say how rows come into a relation other than by sessions of this database; None: they do not."""
    row = connection.execute(_UNDER, (oid,)).fetchone()
    assert row is not None
    ways = ("it reads a foreign table", "it reads a materialised view", "a subscription fills it")
    for found, said in zip(row, ways, strict=True):
        if found:
            return said
    return None
