"""Picks look-ups to show: an open case and its applicant, from what the department's systems hold now."""

from __future__ import annotations

from collections import defaultdict
from typing import Final

import psycopg

from console.demo import truth
from console.demo.district import District
from console.demo.enrol import PURPOSE
from console.demo.generator import accepted_licences
from console.demo.licences import VALID, old_number
from console.demo.market import OPEN_STATES
from schemas.errors import Fault, RejectedError

OPERATOR: Final = "window-03"
"""The account of the officer at the counter."""

_WIDE: Final = "".join(chr(ord(c) + 0xFEE0) for c in "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_NARROW: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLMNOPQRSTUVWXYZ"
_CASES: Final = """
SELECT "SBLSH", "SXBM", "SQRZJLX", rtrim("SQRZJHM")
FROM ex_gdbs_sb
WHERE "BJZT" = ANY(%s) AND "SBLSH" ~ '^[0-9A-Z]{43}$' AND "SXBM" ~ '^[0-9A-Z]{31}$' AND rtrim("SQRZJHM") ~ '^[0-9A-Z]{18}$'
ORDER BY "GXSJ" DESC, "SBLSH"
LIMIT 500
"""
_LICENCES: Final = """
SELECT upper(btrim(translate("CZZTDM", %(wide)s, %(narrow)s))) AS number, "ZZLXDM", btrim("ZZBS"), btrim("ZZZT")
FROM elc_licence
WHERE upper(btrim(translate("CZZTDM", %(wide)s, %(narrow)s))) = ANY(%(numbers)s)
"""


def example_lookup(district: District, *, found: bool = True) -> dict[str, str]:
    """Return what the intake platform asks while it accepts a case: the body of a look-up that is allowed.

    Args:
        district: its systems are asked as they stand now.
        found: the applicant has a valid licence that a material of the item accepts; else none at all, so that the answer is
            an empty list.

    Raises:
        RejectedError: the district has no such open case.
    """
    accepts: dict[str, set[str]] = defaultdict(set)
    for row in accepted_licences(district.sizes, district.seed):
        accepts[row.item_code].add(row.licence_type)
    wrong = district.truth()
    wrong_cases, wrong_licences = truth.keys(wrong, "market_cases"), truth.keys(wrong, "licences")
    with psycopg.connect(district.owners["demo_market"]) as connection:
        rows = connection.execute(_CASES, (list(OPEN_STATES),)).fetchall()
    cases = [r for r in rows if r[0] not in wrong_cases and r[1] in accepts]
    forms = {form: r[3] for r in cases for form in (r[3], old_number(r[3]))}
    held: dict[str, list[tuple[str, bool]]] = defaultdict(list)
    with psycopg.connect(district.owners["demo_licences"]) as connection:
        for number, kind, identifier, state in connection.execute(
            _LICENCES, {"wide": _WIDE, "narrow": _NARROW, "numbers": list(forms)}
        ):
            good = state == VALID and identifier is not None and identifier.upper() not in wrong_licences
            held[forms[number]].append((kind, good))
    for case_number, item, holder_type, number in cases:
        has = any(good and kind in accepts[item] for kind, good in held[number])
        if has if found else not held[number]:
            return {
                "holder_type": holder_type,
                "holder_number": number,
                "item_code": item,
                "case_number": case_number,
                "operator": OPERATOR,
                "purpose": PURPOSE,
            }
    raise RejectedError("the demo has no open case of that kind", code="demo.no_example", fault=Fault.CLIENT)
