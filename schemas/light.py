"""Packages kept out of a process that does not use them: drivers import data frames wherever they are installed, which costs
a second and 60 MB at every start of a process.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from types import ModuleType

import pyarrow as pa


class _Absent(MetaPathFinder):
    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        """Say that a named package is not there."""
        if fullname in self._names:
            raise ModuleNotFoundError(f"{fullname} is kept out here", name=fullname)


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Let imports of these packages fail inside the block, as if they were not installed; those imported before are there."""
    absent = _Absent(frozenset(names))
    sys.meta_path.insert(0, absent)
    try:
        yield
    finally:
        sys.meta_path.remove(absent)


def keep_pandas_out() -> None:
    """Have pyarrow look for pandas now, in vain: it does at its first array. ``to_pandas`` looks again and finds it."""
    with without("pandas"):
        pa.array([0])
