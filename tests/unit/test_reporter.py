"""The process that makes quality reports: what breaks ends one report, and its words, which may hold a row, go nowhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BROKEN = """
import sys
from types import SimpleNamespace
from exchange.worker import report

def broken(hub, run):
    raise ValueError("a row of somebody planted-here")

def say(*words, **named):
    print(words, named, file=sys.stderr)

report.make_report = broken
report.load_settings = lambda home: None
report.open_hub = lambda settings: SimpleNamespace(log=SimpleNamespace(error=say, critical=say), close=lambda: None)
sys.argv = ["report", "home"]
sys.exit(report.main())
"""


def test_a_report_that_breaks_is_answered_and_the_next_is_made() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BROKEN], input="r1\nr2\n", capture_output=True, text=True, cwd=ROOT, timeout=60, check=True
    )
    assert done.stdout == "failed\nfailed\n"
    assert done.stderr.count("ValueError") == 2
    assert "planted-here" not in done.stderr
