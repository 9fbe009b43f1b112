"""Contracts as they were registered: one is its own text to the byte, several are a stream of YAML documents. Out and in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

_LINE: Final = re.compile(r"[^\n]*\n|[^\n]+")
_SAYS_NOTHING: Final = re.compile(r"[ \t]*(?:#.*)?|%.*|---[ \t]*(?:#.*)?")
_BEGINS_ITSELF: Final = re.compile(r"(?:[ \t]*(?:#[^\n]*)?\n)*(?:---|%)")


def odcs_stream(contracts: Iterable[str]) -> Iterator[str]:
    """Yield the texts of contracts, each as it was registered; what YAML needs to tell them apart stands between them."""
    before = ""
    for text in contracts:
        if before:
            yield ("" if before.endswith("\n") else "\n") + ("...\n" if _BEGINS_ITSELF.match(text) else "---\n")
        yield text
        before = text[-1:]


def split_contracts(text: str) -> Iterator[str]:
    """Yield the documents of a stream, each as it stands there: of what ``odcs_stream`` wrote, each contract.

    In YAML a line that begins with ``---`` or ``...`` ends a document wherever it stands, in a text of many lines too.
    """
    lines: list[str] = []
    for line in _LINE.findall(text):
        bare = line.rstrip("\r\n")
        if bare == "..." or (bare == "---" and not all(_SAYS_NOTHING.fullmatch(one.rstrip("\r\n")) for one in lines)):
            if any(one.strip() for one in lines):
                yield "".join(lines)
            lines = []
        else:
            lines.append(line)
    if any(one.strip() for one in lines):
        yield "".join(lines)
