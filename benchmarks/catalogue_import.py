"""Bringing 10,000 resources with 150,000 fields in: `onedoor resource import`, from a spreadsheet and in the national form."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import Any

from benchmarks.line import Result, Row, median
from benchmarks.stand import Stand, stand
from catalog_registry.catalogue_sheets_out import EXAMPLE, write_workbook
from catalog_registry.exports.national import national_json
from catalog_registry.registry import Registry
from schemas.catalogue import CatalogueEntry
from schemas.catalogue_form import read_entry

RESOURCES = int(os.environ.get("BENCH_RESOURCES", "10000"))
FIELDS = 15
BUDGET_S = 60.0
TRIALS = 3
_DEPARTMENT = ("market", EXAMPLE["provider"], EXAMPLE["provider_code"])


def entries(count: int) -> Iterator[tuple[str, CatalogueEntry]]:
    """Yield made-up entries with the names of their resources."""
    for n in range(count):
        fields = [
            {
                "name": f"field_{i}",
                "title": f"信息项{i}",
                "data_type": "字符型",
                "length": 60 + i,
                "sensitivity": 1 + i % 4,
                "primary_key": i == 0,
            }
            for i in range(FIELDS)
        ]
        document = EXAMPLE | {
            "classification": f"30701505{n % 100:02d}",
            "title": f"资源{n}登记信息",
            "code": f"30701505{n % 100:02d}/{n + 1:06d}",
            "abstract": f"第{n}类登记信息，包括名称、证照、状态和有效期。" * 2,
            "fields": fields,
        }
        yield f"resource_{n}", read_entry(document)


def run(work: Path) -> dict[str, Any]:
    """Measure the line."""
    result = Result()
    book, national, small = work / "import.xlsx", work / "import.json", work / "import-50000.xlsx"
    write_workbook(book, entries(RESOURCES))
    write_workbook(small, entries(50_000 // FIELDS))
    with national.open("w", encoding="utf-8") as file:
        file.writelines(national_json(entry for _, entry in entries(RESOURCES)))
    with stand(work, home="home-import") as here:
        registry = Registry(here.hub_url, here.made.settings.the_clock)
        registry.ensure_department(_DEPARTMENT[0], _DEPARTMENT[1], credit_code=_DEPARTMENT[2])
        registry.close()
        for what, file_ in (("a spreadsheet", book), ("the national form", national)):
            trials = []
            for _ in range(TRIALS):
                _empty(here)
                trials.append(_import(here, file_))
            seconds, again = [one[0] for one in trials], _import(here, file_)
            result.trials[f"{what}, s"] = seconds
            rows = f"import of {RESOURCES:,} resources, {RESOURCES * FIELDS:,} fields, from {what}"
            result.rows.append(Row(rows, "s", round(median(seconds), 2), budget=BUDGET_S, smaller=True))
            result.rows.append(Row(f"{rows}, peak memory", "MB", max(one[1] for one in trials)))
            result.rows.append(Row(f"{rows}, the same again", "s", round(again[0], 2)))
        _empty(here)
        seconds_, megabytes = _import(here, small)
        result.rows.append(Row("import of a spreadsheet of 50,000 rows", "s", round(seconds_, 2)))
        result.rows.append(Row("import of a spreadsheet of 50,000 rows, peak memory", "MB", megabytes))
    result.notes.append("import: the command from the start of its process to its end; one change of the registry")
    return result.as_json()


def _empty(here: Stand) -> None:
    """Take the resources out again."""
    here.sql(
        here.hub_url,
        "ALTER TABLE registry.resource_history DISABLE TRIGGER append_only",
        "DELETE FROM registry.resource_history",
        "ALTER TABLE registry.resource_history ENABLE ALWAYS TRIGGER append_only",
        "ALTER TABLE registry.catalogue_entry DISABLE TRIGGER keep_entry",
        "DELETE FROM registry.catalogue_entry",
        "ALTER TABLE registry.catalogue_entry ENABLE TRIGGER keep_entry",
        "DELETE FROM registry.resource",
        "DELETE FROM registry.outbox",
        "DELETE FROM registry.code_sequence",
    )
    here.checkpoint()


def _import(here: Stand, file: Path) -> tuple[float, float]:
    """Import a file; return the seconds and the megabytes at most of the process."""
    began = perf_counter()
    command = [sys.executable, "-m", "console.cli.main", "resource", "import", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=here.env)
    said = process.stdout.read() if process.stdout is not None else ""
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"import failed: {said[-2000:]}")
    return perf_counter() - began, round(used.ru_maxrss / 1024, 1)
