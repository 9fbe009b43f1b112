"""The steps of the flow are types: each is made in one place, and the type checker refuses a step that was left out."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parent.parent.parent
MAKERS = {
    "ConformedBatch": "schemas/conform.py",
    "CheckedBatch": "quality/gate.py",
    "SealedBatch": "exchange/trust/seal.py",
    "ReleasedRows": "exchange/trust/release.py",
}
FLOORS = ("schemas", "connectors", "quality", "catalog_registry", "exchange", "console", "dags")

HEAD = """
from datetime import datetime
from exchange.trust.grant import Grant
from exchange.trust.keyring import KeyRing
from exchange.trust.release import release
from exchange.trust.seal import seal_batch
from connectors.api import Sink
from quality.checks import Checks
from quality.gate import check
from schemas.batch import CheckedBatch, ConformedBatch, RawBatch, StoredRows
from schemas.conform import conform

def way(raw: RawBatch, conformed: ConformedBatch, checked: CheckedBatch, stored: StoredRows,
        checks: Checks, keys: KeyRing, grant: Grant, sink: Sink, now: datetime) -> None:
"""


@pytest.mark.parametrize("step", MAKERS)
def test_a_step_is_made_in_one_place_only(step: str) -> None:
    makers = set()
    for floor in FLOORS:
        for path in (ROOT / floor).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == step:
                    makers.add(str(path.relative_to(ROOT)))
    assert makers == {MAKERS[step]}


def test_the_type_checker_takes_the_whole_way_and_refuses_every_short_cut(tmp_path: Path) -> None:
    good = (
        "conform(raw)",
        "check(conform(raw).batch, checks)",
        "seal_batch(checked, keys)",
        'sink.write(release(stored, grant, now, keys), "k")',
    )
    bad = (
        "check(raw, checks)",
        "seal_batch(raw, keys)",
        "seal_batch(conformed, keys)",
        'sink.write(stored, "k")',
        "release(checked, grant, now, keys)",
    )
    script = tmp_path / "way.py"
    script.write_text(HEAD + "".join(f"    {line}\n" for line in (*good, *bad)), "utf-8")
    first_bad = HEAD.count("\n") + len(good) + 1
    out, _, _ = api.run(
        ["--config-file", str(ROOT / "pyproject.toml"), "--no-incremental", "--follow-imports=silent", str(script)]
    )
    refused = {int(line.split(":")[1]) for line in out.splitlines() if "[arg-type]" in line}
    assert refused == set(range(first_bad, first_bad + len(bad))), out
