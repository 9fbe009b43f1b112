"""Names for the hub out of Chinese titles: by their pinyin, as ``[a-z][a-z0-9_]{0,47}``."""

from __future__ import annotations

import re
from collections.abc import Container
from typing import Final

MOST: Final = 48
_ROOM: Final = 6
"""Characters kept for a number behind."""
_OTHER: Final = re.compile(r"[^a-z0-9]+")


def pinyin_name(title: str, taken: Container[str], *, otherwise: str = "resource") -> str:
    """Return a name that is not taken: the pinyin of a title, whole syllables; numbered from 2 where it is taken.

    ``otherwise`` begins a name whose title has nothing that can stand in one.
    """
    from pypinyin import lazy_pinyin

    made = ""
    was_word = False
    for part in lazy_pinyin(title.casefold(), errors=lambda text: f" {text} "):
        word = _OTHER.sub("_", part).strip("_") if part.startswith(" ") else _OTHER.sub("", part)
        if not word:
            was_word = True
            continue
        between = "_" if made and (was_word or part.startswith(" ")) else ""
        was_word = part.startswith(" ")
        if len(made) + len(between) + len(word) > MOST - _ROOM:
            break
        made += between + word
    if not made:
        made = otherwise
    elif not made[0].isalpha():
        made = f"{otherwise[0]}_{made}"[: MOST - _ROOM].rstrip("_")
    name, number = made, 2
    while name in taken:
        name, number = f"{made}_{number}", number + 1
    return name
