"""Measurements, each beside its named peer in the same run. ``python -m benchmarks``; see README.md."""
