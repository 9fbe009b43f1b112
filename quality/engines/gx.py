"""Report on a run by Great Expectations: a suite from the contract, its verdict on a sample, the history, Data Docs.

It stands beside the path: it decides no row. The suite is compiled from the contract by code of its own, so that it can
disagree with the gate; a test holds them together.

Under ``docs_dir``::

    index.html                      every resource, its last verdict
    <resource>/site/index.html      its Data Docs
    <resource>/history/             its suite and the results of its last runs, as Great Expectations keeps them

Nothing there holds a value of a row: results are counted by Great Expectations, then rebuilt from their counts before they
are stored, and an expectation that fails to run is named without the words of the exception.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from html import escape
from pathlib import Path
from shutil import rmtree
from typing import TYPE_CHECKING, Any, Final

from quality.engines.gx_pages import write_front, write_offline, write_start
from schemas.contract import DataContract, Field, LogicalType
from schemas.errors import DefectError, TransientError

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

KEPT_RUNS: Final = 50
"""Runs of a resource that stay in its history."""

_COUNTS: Final = ("element_count", "missing_count", "missing_percent", "unexpected_count", "unexpected_percent")
_RESULT_FORMAT: Final = {
    "result_format": "BASIC",
    "partial_unexpected_count": 0,
    "include_unexpected_rows": False,
    "exclude_unexpected_values": True,
}
_ONE_AT_A_TIME: Final = threading.Lock()  # Great Expectations holds one context a process


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule of one field came to: ``failed`` of ``checked`` rows of the sample; a null that may be is not failed."""

    field: str
    rule: str
    success: bool
    checked: int
    failed: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Great Expectations says of a run's sample. ``docs_index`` is the start page of the resource's Data Docs."""

    resource: str
    run: str
    success: bool
    sampled: int
    sampled_of: int
    outcomes: tuple[Outcome, ...]
    docs_index: Path

    @property
    def label(self) -> str:
        """How much of the run the verdict is about."""
        return sample_label(self.sampled, self.sampled_of)

    def as_json(self) -> dict[str, Any]:
        """Return what a run's report keeps of it; ``docs`` is the start page, from the folder of all Data Docs."""
        return {
            "success": self.success,
            "sample": self.label,
            "sampled": self.sampled,
            "sampled_of": self.sampled_of,
            "rules": len(self.outcomes),
            "failed": [{"field": o.field, "rule": o.rule, "rows": o.failed} for o in self.outcomes if not o.success],
            "docs": "/".join((self.resource, *self.docs_index.parts[-2:])),
        }


def sample_label(sampled: int, sampled_of: int) -> str:
    """Return the words that mark a report as one on a sample."""
    return f"sampled {sampled} of {sampled_of} rows"


def report(sample: pa.Table, contract: DataContract, *, run: str, sampled_of: int, now: datetime, docs_dir: Path) -> Verdict:
    """Return the verdict on a sample, added to the resource's history and shown in its Data Docs; no value is written.

    A second report of the same run replaces the first. Reports of one resource wait for each other.

    Args:
        sample: conformed rows, bad ones among them, chosen uniformly from the run; columns as ``types.contract_schema``.
        contract: the resource's.
        run: the run's id; it becomes a part of file names.
        sampled_of: rows of the run that the sample was chosen from.
        now: when the report is made, aware.
        docs_dir: where Data Docs of all resources are; made where missing.

    Raises:
        DefectError: ``quality.report``; Great Expectations could not decide an expectation.
        TransientError: ``quality.docs``; the folder cannot be written to.
    """
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    home = docs_dir / contract.name
    with _writing(docs_dir):
        home.mkdir(parents=True, exist_ok=True)
    with _ONE_AT_A_TIME, _writing(docs_dir), _locked(home / ".lock"):
        context = _context(home)
        result = _validate(context, sample, contract)
        outcomes = tuple(_outcome(one, contract, sample.num_rows) for one in result.results)
        verdict = Verdict(
            contract.name,
            run,
            all(outcome.success for outcome in outcomes),
            sample.num_rows,
            sampled_of,
            outcomes,
            home / "site" / "index.html",
        )
        _keep(context, result, verdict, contract, now, home)
    with _writing(docs_dir), _locked(docs_dir / ".lock"):
        write_front(docs_dir)
    return verdict


def _validate(context: Any, sample: pa.Table, contract: DataContract) -> Any:
    """Return what Great Expectations finds; the result is in memory only."""
    batches = context.data_sources.add_pandas("sample").add_dataframe_asset(contract.name)
    batch = batches.add_batch_definition_whole_dataframe("sample").get_batch({"dataframe": _frame(sample, contract)})
    return batch.validate(_suite(contract), result_format=_RESULT_FORMAT)


def _suite(contract: DataContract) -> Any:
    from great_expectations import ExpectationSuite

    return ExpectationSuite(
        name=contract.name,
        expectations=[expectation for field in contract.fields for expectation in _expectations(field)],
        meta={"contract": contract.name, "version": contract.version},
    )


def _expectations(field: Field) -> Iterator[Any]:
    from great_expectations.expectations.core.expect_column_value_lengths_to_be_between import (
        ExpectColumnValueLengthsToBeBetween,
    )
    from great_expectations.expectations.core.expect_column_values_to_be_in_set import ExpectColumnValuesToBeInSet
    from great_expectations.expectations.core.expect_column_values_to_not_be_null import ExpectColumnValuesToNotBeNull

    from quality.engines import gx_expectations as own

    def of(rule: str, words: str) -> dict[str, Any]:
        shown = escape(f"{field.name}: {words}")  # the pages take it as it is
        return {"column": field.name, "description": shown, "meta": {"field": field.name, "rule": rule}}

    kind = str(field.logical_type)
    if field.required or field.key:
        yield ExpectColumnValuesToNotBeNull(**of("key_null" if field.key else "required", "is never null 不为空"))
    unit, measure = ("bytes", "字节") if field.logical_type is LogicalType.BYTES else ("characters", "个字符")
    if field.min_length:
        words = f"has at least {field.min_length} {unit} 不少于 {field.min_length} {measure}"
        yield ExpectColumnValueLengthsToBeBetween(min_value=field.min_length, **of("min_length", words))
    if field.max_length is not None:
        words = f"has at most {field.max_length} {unit} 不超过 {field.max_length} {measure}"
        yield ExpectColumnValueLengthsToBeBetween(max_value=field.max_length, **of("max_length", words))
    if field.pattern is not None:
        words = f"has the form {field.pattern} 符合格式"
        yield own.ExpectColumnValuesToMatchRe2(pattern=field.pattern, **of("pattern", words))
    if field.values:
        words = f"is one of {len(field.values)} allowed values 在允许的取值范围内"
        if field.logical_type is LogicalType.STRING:
            yield ExpectColumnValuesToBeInSet(value_set=list(field.values), **of("values", words))
        else:
            yield own.ExpectColumnValuesToBeListed(logical_type=kind, texts=list(field.values), **of("values", words))
    if field.minimum is not None:
        words = f"is at least {field.minimum} 不小于 {field.minimum}"
        yield own.ExpectColumnValuesToBeWithin(logical_type=kind, minimum=field.minimum, **of("minimum", words))
    if field.maximum is not None:
        words = f"is at most {field.maximum} 不大于 {field.maximum}"
        yield own.ExpectColumnValuesToBeWithin(logical_type=kind, maximum=field.maximum, **of("maximum", words))
    if field.code is not None:
        words = f"is a valid {field.code.replace('_', ' ')} 编码有效"
        yield own.ExpectColumnValuesToBeValidCode(code=field.code, **of(f"code.{field.code}", words))


def _frame(sample: pa.Table, contract: DataContract) -> pd.DataFrame:
    """Return the sample as pandas holds it without loss: texts as such, all else as Python's own values.

    pandas would take a whole number beside a null for a binary float, and a double that is no number for a null.
    """
    import pandas as pd

    columns = {f.name: _series(sample.column(f.name), f) for f in contract.fields if next(_expectations(f), None)}
    return pd.DataFrame(columns, index=pd.RangeIndex(sample.num_rows))


def _series(column: pa.ChunkedArray, field: Field) -> pd.Series:
    import pandas as pd

    from quality.engines.gx_expectations import NOT_A_NUMBER

    values = column.to_pylist()
    match field.logical_type:
        case LogicalType.STRING:
            return pd.Series(values, dtype="str")
        case LogicalType.BYTES:  # only its length is asked for
            return pd.Series([None if v is None else v.decode("latin-1") for v in values], dtype="str")
        case LogicalType.DOUBLE:
            return pd.Series([NOT_A_NUMBER if v is not None and v != v else v for v in values], dtype=object)
    return pd.Series(values, dtype=object)


def _outcome(one: Any, contract: DataContract, rows: int) -> Outcome:
    asked = one.expectation_config.meta
    if "unexpected_count" not in one.result:
        raise DefectError(
            f"great expectations could not decide the rule {asked['rule']} of the field {asked['field']}",
            code="quality.report",
            where=f"contract {contract.name} {contract.version}",
            remedy="the run itself is not touched; report this with the contract",
        )
    return Outcome(asked["field"], asked["rule"], bool(one.success), rows, int(one.result["unexpected_count"]))


def _keep(context: Any, result: Any, verdict: Verdict, contract: DataContract, now: datetime, home: Path) -> None:
    """Store the result in the history, let the oldest go, and build the pages of what is new."""
    from great_expectations.core.run_identifier import RunIdentifier
    from great_expectations.data_context.types.resource_identifiers import (
        ExpectationSuiteIdentifier,
        ValidationResultIdentifier,
    )

    suite = ExpectationSuiteIdentifier(contract.name)
    run_id = RunIdentifier(run_name=verdict.run, run_time=now)
    key = ValidationResultIdentifier(suite, run_id, contract.name)

    for old in (home / "history" / "expectations").glob("*.json"):
        old.unlink()
    context.suites.add(_suite(contract))
    _forget(home, verdict.run)
    context.validation_results_store.store_validation_results(_counts_only(result, verdict, run_id), key, suite)
    context.build_data_docs(resource_identifiers=[key, suite], build_index=False)
    write_offline(home / "site", verdict.run)
    write_start(home, f"{contract.name} {contract.title}")


def _forget(home: Path, run: str) -> None:
    """Remove the oldest runs, so that with ``run`` there are at most ``KEPT_RUNS``; ``run`` itself; what a kill cut short."""
    times: dict[str, str] = {}
    for file in home.glob("history/validations/*/*/*/*.json"):
        with suppress(ValueError, KeyError):  # half a file is not of the history
            about = json.loads(file.read_text("utf-8"))["meta"]["run_id"]
            times[about["run_name"]] = about["run_time"]
    times.pop(run, None)
    kept = sorted(times, key=lambda name: (times[name], name))[-(KEPT_RUNS - 1) :]
    for of_run in (*home.glob("history/validations/*/*"), *home.glob("site/validations/*/*")):
        if of_run.name not in kept:
            rmtree(of_run)


def _counts_only(result: Any, verdict: Verdict, run_id: Any) -> Any:
    """Return the result made again from nothing but the expectations asked, the verdicts and the counts."""
    from great_expectations.core.expectation_validation_result import (
        ExpectationSuiteValidationResult,
        ExpectationValidationResult,
    )

    results = [
        ExpectationValidationResult(
            success=bool(one.success),
            expectation_config=_asked(one.expectation_config),
            result={name: one.result[name] for name in _COUNTS if name in one.result},
        )
        for one in result.results
    ]
    return ExpectationSuiteValidationResult(
        success=verdict.success,
        results=results,
        suite_name=result.suite_name,
        statistics=result.statistics,
        meta={
            "great_expectations_version": result.meta["great_expectations_version"],
            "run_id": run_id,
            "validation_time": run_id.run_time,
            "sample": verdict.label,
            "batch_spec": {"data_asset_name": verdict.label},
        },
    )


def _asked(config: Any) -> Any:
    """Return the expectation as asked, without the key of the batch in memory."""
    config.kwargs.pop("batch_id", None)
    return config


def _context(home: Path) -> Any:
    import great_expectations as gx
    from great_expectations.data_context.types.base import DataContextConfig, InMemoryStoreBackendDefaults, ProgressBarsConfig

    def files(folder: str) -> dict[str, Any]:
        return {
            "class_name": "TupleFilesystemStoreBackend",
            "base_directory": str((home / folder).resolve()),
        }

    config = DataContextConfig(
        store_backend_defaults=InMemoryStoreBackendDefaults(init_temp_docs_sites=False),
        analytics_enabled=False,
        progress_bars=ProgressBarsConfig(globally=False),
    )
    config.stores["expectations_store"]["store_backend"] = files("history/expectations")
    config.stores["validation_results_store"]["store_backend"] = files("history/validations")
    config.data_docs_sites = {
        "site": {
            "class_name": "SiteBuilder",
            "show_how_to_buttons": False,
            "store_backend": files("site"),
            "site_index_builder": {"class_name": "DefaultSiteIndexBuilder"},
            "site_section_builders": {"profiling": "None"},
        }
    }
    return gx.get_context(mode="ephemeral", project_config=config)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _writing(docs_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise TransientError(
            f"the quality report could not be written: {error.strerror}",
            code="quality.docs",
            where=str(docs_dir),
            remedy="make room there and see that the hub may write to it; the run itself is not touched",
        ) from error
