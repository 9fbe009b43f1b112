"""Figures for Prometheus: counts and seconds, with no label that names a person, a case or a client."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

LOOKUPS = Counter("onedoor_lookups", "Licence look-ups by outcome.", ["outcome"])
LOOKUP_SECONDS = Histogram(
    "onedoor_lookup_seconds",
    "Seconds from a look-up's first byte to its answer.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5),
)
RECORD_ANSWERS = Counter("onedoor_record_answers", "Answers to queries of records by outcome.", ["outcome"])
RECORD_ROWS = Counter("onedoor_record_rows", "Rows that queries of records gave.")
TOKENS = Counter("onedoor_tokens", "Access tokens by outcome.", ["outcome"])
RUNS = Gauge("onedoor_runs", "Runs by state.", ["state"])
