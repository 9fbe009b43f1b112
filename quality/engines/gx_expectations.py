"""The expectations that Great Expectations lacks, for pandas. Importing this takes seconds: do it inside a function.

Bounds come as text with the name of their type, because a suite is kept as JSON, which has no decimals, dates or times.
"""

# ruff: noqa: N805 - a metric's function is given its class
from __future__ import annotations

import decimal
from collections.abc import Callable
from datetime import date, datetime, time
from typing import Any, ClassVar, Final

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from great_expectations.execution_engine.pandas_execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider.column_condition_partial import column_condition_partial
from great_expectations.expectations.metrics.map_metric_provider.column_map_metric_provider import ColumnMapMetricProvider

from schemas.codes import CODES

NOT_A_NUMBER: Final = "NaN"
"""Stands in the frame for a double that is no number: pandas itself would take it for null."""

_READ: Final[dict[str, Callable[[str], Any]]] = {
    "string": str,
    "integer": int,
    "number": decimal.Decimal,
    "double": float,
    "boolean": lambda text: text in ("t", "true"),
    "date": date.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "time": time.fromisoformat,
}


def _decide(column: pd.Series, passes: Callable[[Any], bool]) -> pd.Series:
    return pd.Series([passes(value) for value in column], index=column.index, dtype=bool)


class ColumnValuesMatchRe2(ColumnMapMetricProvider):
    """Whether the whole of each text matches; RE2 takes time in proportion to the text, whatever the pattern."""

    condition_metric_name = "column_values.match_re2"
    condition_value_keys = ("pattern",)

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, pattern: str, **_: Any) -> pd.Series:
        found = pc.match_substring_regex(pa.array(column.tolist(), pa.string()), f"^(?:{pattern})$")
        return pd.Series(found.to_numpy(zero_copy_only=False), index=column.index, dtype=bool)


class ColumnValuesWithin(ColumnMapMetricProvider):
    """Whether each value is not below ``minimum`` and not above ``maximum``; what is no number is neither."""

    condition_metric_name = "column_values.within"
    condition_value_keys = ("logical_type", "minimum", "maximum")

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, logical_type: str, minimum: str | None, maximum: str | None, **_: Any) -> pd.Series:
        read = _READ[logical_type]
        low = None if minimum is None else read(minimum)
        high = None if maximum is None else read(maximum)
        numbers = logical_type == "double"

        def passes(value: Any) -> bool:
            if numbers and value == NOT_A_NUMBER:
                return False
            return (low is None or value >= low) and (high is None or value <= high)

        return _decide(column, passes)


class ColumnValuesListed(ColumnMapMetricProvider):
    """Whether each value is one of those listed."""

    condition_metric_name = "column_values.listed"
    condition_value_keys = ("logical_type", "texts")

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, logical_type: str, texts: list[str], **_: Any) -> pd.Series:
        allowed = {_READ[logical_type](text) for text in texts}
        return _decide(column, allowed.__contains__)


class ColumnValuesValidCode(ColumnMapMetricProvider):
    """Whether each text is a valid code, decided one by one."""

    condition_metric_name = "column_values.valid_code"
    condition_value_keys = ("code",)

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column: pd.Series, code: str, **_: Any) -> pd.Series:
        return _decide(column, CODES[code].valid)


class ExpectColumnValuesToMatchRe2(ColumnMapExpectation):
    """Expect the whole of each text to match ``pattern``, in the syntax of RE2."""

    pattern: str
    map_metric: ClassVar[str] = "column_values.match_re2"
    success_keys: ClassVar[tuple[str, ...]] = ("pattern", "mostly")


class ExpectColumnValuesToBeWithin(ColumnMapExpectation):
    """Expect each value to lie between two bounds, both inclusive, either of which may be absent."""

    logical_type: str
    minimum: str | None = None
    maximum: str | None = None
    map_metric: ClassVar[str] = "column_values.within"
    success_keys: ClassVar[tuple[str, ...]] = ("logical_type", "minimum", "maximum", "mostly")


class ExpectColumnValuesToBeListed(ColumnMapExpectation):
    """Expect each value to be one of ``texts``, read as values of the type."""

    logical_type: str
    texts: list[str]
    map_metric: ClassVar[str] = "column_values.listed"
    success_keys: ClassVar[tuple[str, ...]] = ("logical_type", "texts", "mostly")


class ExpectColumnValuesToBeValidCode(ColumnMapExpectation):
    """Expect each text to be a valid code of the named kind of ``schemas.codes``."""

    code: str
    map_metric: ClassVar[str] = "column_values.valid_code"
    success_keys: ClassVar[tuple[str, ...]] = ("code", "mostly")
