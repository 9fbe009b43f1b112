"""Frozen forms: a test compares, and writes nothing unless ``ONEDOOR_WRITE_GOLDEN=1`` asks for it. A person reads that diff."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path(__file__).parent


def assert_golden(name: str, text: str) -> None:
    """Fail where ``text`` is not what the golden file ``name`` holds."""
    path = FOLDER / name
    if os.environ.get("ONEDOOR_WRITE_GOLDEN") == "1":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{path} is not there: make it with ONEDOOR_WRITE_GOLDEN=1 and read it"
    assert text == path.read_text(encoding="utf-8"), (
        f"{name} changed: a frozen form, see docs/decisions before you write it anew"
    )
