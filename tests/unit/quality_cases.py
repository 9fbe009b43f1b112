"""Fields with rules and values for them, for the tests of both engines."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import Any

from hypothesis import strategies as st

from schemas.codes import citizen_id_check
from schemas.contract import Field, LogicalType

L = LogicalType
GOOD_ID = (_BODY := "44022119800101001") + citizen_id_check(_BODY)

TEXTS = st.text(st.sampled_from("aA1X-医𠮷\n ."), max_size=5) | st.just(GOOD_ID)
KINDS: dict[LogicalType, tuple[st.SearchStrategy[Any], Any]] = {
    L.STRING: (TEXTS, str),
    L.INTEGER: (st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 2), str),
    L.NUMBER: (st.decimals(-100, 100, places=2), lambda v: f"{v:.2f}"),
    L.DOUBLE: (st.floats() | st.sampled_from([0.0, 1.0]), repr),
    L.DATE: (st.dates(), date.isoformat),
    L.TIMESTAMP: (st.datetimes(timezones=st.just(UTC)), datetime.isoformat),
    L.TIME: (st.times(), time.isoformat),
    L.BOOLEAN: (st.booleans(), lambda v: "t" if v else "f"),
    L.BYTES: (st.binary(max_size=4), bytes.hex),
}


@st.composite
def fields_and_values(draw: st.DrawFn, rows: int, name: str = "f") -> tuple[Field, list[Any]]:
    """A field with some rules, and as many values as rows: good, bad, null, at the bounds."""
    kind = draw(st.sampled_from(list(KINDS)))
    values, text = KINDS[kind]
    rules: dict[str, Any] = {"required": draw(st.booleans()), "key": draw(st.sampled_from([None, 1]))}
    if kind in (L.STRING, L.BYTES):
        low, high = sorted(draw(st.tuples(st.integers(0, 4), st.integers(0, 4))))
        rules |= {"min_length": draw(st.sampled_from([None, low])), "max_length": draw(st.sampled_from([None, high]))}
    if kind is L.STRING:
        rules["pattern"] = draw(st.sampled_from([None, "a*", "[aA1]+|医", r"\d", ".?", r"[^a]*\w", "(?:a|1){1,3}", r"\S*"]))
        rules["code"] = draw(st.sampled_from([None, "citizen_id", "division_code"]))
    ordered = values.filter(lambda v: v == v)
    if kind not in (L.BOOLEAN, L.BYTES):
        low, high = sorted(draw(st.tuples(ordered, ordered)))
        rules |= {"minimum": draw(st.sampled_from([None, text(low)])), "maximum": draw(st.sampled_from([None, text(high)]))}
    if kind not in (L.DOUBLE, L.BYTES):
        rules["values"] = tuple(text(v) for v in draw(st.lists(ordered, max_size=3)))
    precision = {"precision": 5, "scale": 2} if kind is L.NUMBER else {}
    some = draw(st.lists(st.none() | values, min_size=rows, max_size=rows))
    return Field(name, kind, name, **rules, **precision), some
