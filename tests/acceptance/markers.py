"""Finds personal values of the demo district wherever they must not be, however they are written."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg

from console.demo.district import District
from console.demo.names import MARKS

_WRITTEN = {
    way: written
    for mark in MARKS
    for way, written in {
        f"{mark} in UTF-8": mark.encode(),
        f"{mark} in UTF-16": mark.encode("utf-16-le"),
        f"{mark} in GB 18030": mark.encode("gb18030"),
        f"{mark} as JSON escapes": json.dumps(mark)[1:-1].encode(),
        f"{mark} as Python escapes": ascii(mark)[1:-1].encode(),
        f"{mark} in a URL": quote(mark).encode(),
        f"{mark} in hex": mark.encode().hex().encode(),
    }.items()
}
_DIGITS = re.compile(rb"[0-9]{11,}[Xx]?")
_HEX = re.compile(rb"\\x((?:[0-9a-f]{2}){4,})")
_WIDE = re.compile("[０-９]{11,}[ＸｘXx]?")


@dataclass(frozen=True)
class Planted:
    """Every citizen id and telephone number of the district, and its names' marks."""

    numbers: frozenset[bytes]
    phones: frozenset[bytes]

    @classmethod
    def of(cls, district: District) -> Planted:
        """Read them from the departments' databases, which do hold them."""
        ids: set[str] = set()
        with psycopg.connect(district.owners["demo_licences"]) as connection:
            ids |= {_plain(row[0]) for row in connection.execute('SELECT "CZZTDM" FROM elc_licence').fetchall()}
        with psycopg.connect(district.owners["demo_market"]) as connection:
            ids |= {_plain(row[0]) for row in connection.execute('SELECT "SQRZJHM" FROM ex_gdbs_sb').fetchall()}
            phones = {_plain(row[0]) for row in connection.execute('SELECT "LXRSJ" FROM ex_gdbs_sb').fetchall()}
        citizens = {i.encode() for i in ids if re.fullmatch(r"[0-9]{17}[0-9X]|[0-9]{15}", i)}
        assert len(citizens) > 50, "the district has too few citizens to say anything"
        return cls(frozenset(citizens), frozenset(p.encode() for p in phones if re.fullmatch(r"120[0-9]{8}", p)))

    def found_in(self, data: bytes) -> list[str]:
        """Return what was found, in words that do not repeat it."""
        out = [way for way, written in _WRITTEN.items() if written in data]
        out += self._numbers(data)
        if "０".encode()[:2] in data:
            text = data.decode("utf-8", "ignore")
            out += [f"{what}, full width" for wide in _WIDE.findall(text) for what in self._numbers(_plain(wide).encode())]
        for packed in _HEX.findall(data):
            raw = bytes.fromhex(packed.decode())
            out += [f"{what}, in bytes" for what in self._inside(raw)]
        return sorted(set(out))

    def _inside(self, raw: bytes) -> Iterator[str]:
        yield from (way for way, written in _WRITTEN.items() if written in raw)
        yield from self._numbers(raw)

    def _numbers(self, data: bytes) -> list[str]:
        out = []
        for run in _DIGITS.findall(data):
            run = run.upper()
            if run in self.phones:
                out.append("a telephone number")
            parts = (run[i : i + length] for length in (18, 15) for i in range(len(run) - length + 1))
            out += ["a citizen id" for part in parts if part in self.numbers]
        return out


def _plain(text: str | None) -> str:
    return unicodedata.normalize("NFKC", text or "").strip().upper()


def files_under(home: Path) -> Iterator[Path]:
    """Yield every file of a data folder but those of PostgreSQL, whose databases are asked by SQL."""
    for path in sorted(home.rglob("*")):
        if path.is_file() and home / "postgres" not in path.parents:
            yield path


def tables_of(url: str) -> Iterator[tuple[str, bytes]]:
    """Yield every table of the hub's database and all it holds, as COPY writes it; binary columns are in hex."""
    with psycopg.connect(url) as connection:
        names = connection.execute(
            """SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^(pg_|information_schema$)' ORDER BY 1"""
        ).fetchall()
        for (name,) in names:
            with connection.cursor() as cursor, cursor.copy(f"COPY (SELECT * FROM {name}) TO STDOUT") as copy:
                yield name, b"".join(bytes(part) for part in copy)
