"""The e-licence store: licence types, and licences with the columns of the national metadata (ZZMC, ZZBS, CZZTDM …)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from console.demo.agencies import BASE, CITIZEN, COMPANY, KINDS, LicenceKind
from console.demo.catalogue import instants
from console.demo.digits import Bytes, Ints, citizen_ids, credit_codes, day_texts, decimal, joined, mod_37_36, texts
from console.demo.names import COMPANIES, PEOPLE
from console.demo.sheet import (
    Fault,
    Sheet,
    becomes,
    chinese_date,
    compact,
    dates_only,
    dots,
    fullwidth,
    nothing,
    other_check,
    padded,
    slashes,
    wide_blanks,
    wrong_number,
)

OID: Final = b"1.2.156.3005.2."
VALID: Final = "01"
STATES: Final = ("01", "03", "04", "05", "06", "07", "99")
_HOLDERS_A_LICENCE: Final = 0.45
_PEOPLE_SHARE: Final = 0.8
_KIND: Final = tuple(KINDS.values())


@dataclass(frozen=True, slots=True)
class Holders:
    """Everybody in the demo: people first, then companies. Those from ``strangers`` on in each part hold no licence.

    ``numbers`` and ``names`` are columns over both; ``kinds`` says ``111`` or ``001``.
    """

    numbers: pa.Array
    names: pa.Array
    people: int
    companies: int
    strange_people: int
    strange_companies: int

    @property
    def kinds(self) -> pa.Array:
        """The kind of each holder's number."""
        people = self.people + self.strange_people
        return pa.array([CITIZEN, COMPANY]).take(pa.array(np.repeat([0, 1], [people, len(self.numbers) - people])))


def make_holders(rng: np.random.Generator, licences: int) -> Holders:
    """Return enough holders for ``licences``, and a quarter as many again who have no licence."""
    count = max(20, int(licences * _HOLDERS_A_LICENCE))
    people = int(count * _PEOPLE_SHARE)
    companies = count - people
    strange_people, strange_companies = max(1, people // 4), max(1, companies // 4)
    ids, _ = citizen_ids(rng, people + strange_people)
    codes = credit_codes(rng.permutation(companies + strange_companies), prefix=b"91")
    names = [
        pa.array(PEOPLE).take(pa.array(rng.integers(0, len(PEOPLE), people + strange_people))),
        pa.array(COMPANIES).take(pa.array(rng.integers(0, len(COMPANIES), companies + strange_companies))),
    ]
    return Holders(
        texts(np.vstack([ids, codes])), pa.concat_arrays(names), people, companies, strange_people, strange_companies
    )


def type_sheet(rng: np.random.Generator, anchor: np.datetime64) -> Sheet:
    """Return the licence types (``elc_licence_type``)."""
    sheet = Sheet(
        "licence_types",
        ("ZZLXDM",),
        {
            "ZZLXDM": pa.array([k.code for k in _KIND]),
            "ZZMC": pa.array([k.name for k in _KIND]),
            "GLBM": pa.array([k.agency.name for k in _KIND]),
            "GLBMDM": pa.array([k.agency.credit_code for k in _KIND]),
            "CZZTLX": pa.array([k.holder for k in _KIND]),
            "YXQNX": pa.array([str(k.years) for k in _KIND]),
            "GXSJ": instants(rng, anchor, len(_KIND), days=900),
        },
    )
    # the types that the items lean on stay right: only the last ones can be wrong
    eligible = np.arange(len(_KIND)) >= len(_KIND) - 3
    sheet.spoil(
        rng, (Fault("type", "validity_years", "YXQNX", becomes("五年")), Fault("required", "name", "ZZMC", nothing)), eligible
    )
    sheet.uglify(rng, "ZZMC", 0.1, wide_blanks)
    sheet.uglify(rng, "YXQNX", 0.1, fullwidth)
    return sheet


def licence_sheet(rng: np.random.Generator, holders: Holders, count: int, anchor: np.datetime64) -> Sheet:
    """Return ``count`` licences (``elc_licence``): a base licence for each holder, then others of the holder's kind."""
    owner, kind = _owners(rng, holders, count)
    today = anchor.astype("datetime64[D]")
    years = np.array([k.years for k in _KIND])[kind]
    span = np.where(years > 0, np.minimum(years * 365 + 400, 3650), 3650)
    issued = today - 1 - (rng.random(count) * span).astype(np.int64)
    ends = issued + years * 365 + years // 4
    past = (years > 0) & (ends < today)
    state = _states(rng, past)
    serial = np.arange(1, count + 1)
    holder = pa.array(owner)
    year = decimal(issued.astype("datetime64[Y]").astype(np.int64) + 1970, 4)
    sheet = Sheet(
        "licences",
        ("ZZBS",),
        {
            "ZZBS": identifiers(kind, year, serial),
            "ZZLXDM": _by_kind(kind, lambda k: k.code),
            "ZZMC": _by_kind(kind, lambda k: k.name),
            "ZZBH": texts(joined(count, _letters(kind), b"440205", year, decimal(serial, 8))),
            "ZZBFJG": _by_kind(kind, lambda k: k.agency.name),
            "ZZBFJGDM": _by_kind(kind, lambda k: k.agency.credit_code),
            "ZZBFRQ": day_texts(issued),
            "CZZT": holders.names.take(holder),
            "CZZTDM": holders.numbers.take(holder),
            "CZZTDMLX": holders.kinds.take(holder),
            "ZZYXQQSSJ": day_texts(issued),
            "ZZYXQJZSJ": pc.if_else(pa.array(years > 0), day_texts(ends), "长期"),
            "ZZZT": pa.array(STATES).take(pa.array(state)),
            "KXDJ": pa.array(["A", "B", "C", "D"]).take(pa.array(rng.choice(4, count, p=[0.9, 0.06, 0.03, 0.01]))),
            "GXSJ": instants(rng, anchor, count, days=300),
        },
    )
    sheet.spoil(rng, _FAULTS)
    _make_ugly(rng, sheet)
    return sheet


_FAULTS: Final = (
    Fault("code.holder_number", "holder_number", "CZZTDM", wrong_number),
    Fault("required", "holder_number", "CZZTDM", nothing),
    Fault("type", "valid_to", "ZZYXQJZSJ", becomes("2026-02-30")),
    Fault("values", "state", "ZZZT", becomes("88")),
    Fault("duplicate_key", "licence_identifier", "ZZBS", nothing),
    Fault("code.licence_identifier", "licence_identifier", "ZZBS", other_check),
    Fault("required", "name", "ZZMC", becomes("\u3000")),
    Fault("type", "issued_on", "ZZBFRQ", becomes("不详")),
    Fault("values", "trust_level", "KXDJ", becomes("E")),
    Fault("max_length", "issuer", "ZZBFJG", lambda t: t * 40),
    Fault("key_null", "licence_identifier", "ZZBS", nothing),
    Fault("code.credit_code", "issuer_code", "ZZBFJGDM", other_check),
)


def identifiers(kind: Ints, year: Bytes, serial: Ints) -> pa.Array:
    """Return the e-licence identifier 证照标识 of each licence: type, issuer, serial, version 001, check character."""
    count = len(kind)
    types = np.array([list(k.code.encode()) for k in _KIND], np.uint8)[kind]
    issuers = np.array([list(k.agency.credit_code.encode()) for k in _KIND], np.uint8)[kind]
    numbers = joined(count, year, decimal(serial, 8))
    check = mod_37_36(joined(count, types, issuers, numbers, b"001"))
    return texts(joined(count, OID, types, b".", issuers, b".", numbers, b".001.", check))


def old_number(text: str) -> str:
    """Return a citizen id of somebody born before 2000 in the old form of 15 digits; other numbers as they are."""
    return text[:6] + text[8:17] if text[:6] == "440221" and text[6:8] == "19" else text


def _owners(rng: np.random.Generator, holders: Holders, count: int) -> tuple[Ints, Ints]:
    """Return for each licence whose it is (a place in ``Holders.numbers``) and of which kind, in mixed order."""
    people, companies = holders.people, holders.companies
    first_company = people + holders.strange_people
    place = {kind.name: n for n, kind in enumerate(_KIND)}
    owner = np.concatenate([np.arange(people), np.arange(first_company, first_company + companies)])[:count]
    base = np.where(owner < first_company, place[BASE[CITIZEN].name], place[BASE[COMPANY].name])
    rest = max(0, count - len(owner))
    more = owner[rng.integers(0, len(owner), rest)]
    choice = {
        holder: np.array([n for n, k in enumerate(_KIND) if k.holder == holder and k is not BASE[holder]])
        for holder in (CITIZEN, COMPANY)
    }
    draw = rng.random(rest)
    other = np.where(
        more < first_company,
        choice[CITIZEN][(draw * len(choice[CITIZEN])).astype(np.int64)],
        choice[COMPANY][(draw * len(choice[COMPANY])).astype(np.int64)],
    )
    order = rng.permutation(count)
    return np.concatenate([owner, more])[order], np.concatenate([base, other])[order]


def _states(rng: np.random.Generator, past: npt.NDArray[np.bool_]) -> Ints:
    chance = rng.random(len(past))
    odd = rng.choice([1, 2, 3, 4, 5, 6], len(past), p=[0.2, 0.4, 0.1, 0.1, 0.1, 0.1])
    return np.where(chance < 0.03, odd, np.where(past & (chance < 0.7), STATES.index("05"), 0))


def _make_ugly(rng: np.random.Generator, sheet: Sheet) -> None:
    sheet.uglify(rng, "CZZTDM", 0.02, old_number)
    sheet.uglify(rng, "CZZTDM", 0.3, str.lower)
    sheet.uglify(rng, "CZZTDM", 0.01, fullwidth)
    sheet.uglify(rng, "CZZTDM", 0.03, padded)
    sheet.uglify(rng, "CZZT", 0.01, wide_blanks)
    sheet.uglify(rng, "CZZT", 0.01, padded)
    sheet.uglify(rng, "ZZMC", 0.02, wide_blanks)
    sheet.uglify(rng, "ZZBS", 0.01, padded)
    sheet.uglify(rng, "ZZBS", 0.005, str.lower)
    sheet.uglify(rng, "ZZZT", 0.01, fullwidth)
    sheet.uglify(rng, "ZZYXQJZSJ", 0.02, lambda text: "永久" if text == "长期" else text)
    for column in ("ZZBFRQ", "ZZYXQJZSJ"):
        for change in (slashes, compact, dots, chinese_date):
            sheet.uglify(rng, column, 0.01, dates_only(change))


def _by_kind(kind: Ints, text: Callable[[LicenceKind], str]) -> pa.Array:
    return pa.array([text(k) for k in _KIND]).take(pa.array(kind))


def _letters(kind: Ints) -> Bytes:
    return np.array([list(k.letters.encode()) for k in _KIND], np.uint8)[kind]
