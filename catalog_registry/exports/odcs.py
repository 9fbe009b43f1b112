"""Contracts as they were registered: one is its own text to the byte, several are a stream of YAML documents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

_BEGINS_ITSELF: Final = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*(?:---|%)")


def odcs_stream(contracts: Iterable[str]) -> Iterator[str]:
    """Yield the texts of contracts, each as it was registered; what YAML needs to tell them apart stands between them."""
    before = ""
    for text in contracts:
        if before:
            yield ("" if before.endswith("\n") else "\n") + ("...\n" if _BEGINS_ITSELF.match(text) else "---\n")
        yield text
        before = text[-1:]
