"""Parts of a document that report their own faults, so that reading goes on and every error is told with its line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.yaml_lines import Lined, Path, Problem


@dataclass(slots=True)
class Problems:
    """What is wrong with a document, in the order of finding."""

    lined: Lined
    found: list[tuple[Path, Problem]] = field(default_factory=list)

    def add(self, path: Path, message: str) -> None:
        """Report what is wrong with the part at ``path``."""
        self.found.append((path, Problem(self.lined.line(path), message)))

    def touches(self, path: Path) -> bool:
        """Whether something was reported of this part, or of one above or below it."""
        return any(path[: len(p)] == p or p[: len(path)] == path for p, _ in self.found)


@dataclass(slots=True)
class Part:
    """A mapping of the document and its path; each getter reports a value of the wrong kind and gives None for it."""

    problems: Problems
    value: Mapping[str, Any]
    path: Path

    @property
    def line(self) -> int:
        """The part's line in the text."""
        return self.problems.lined.line(self.path)

    def problem(self, message: str, *keys: str | int) -> None:
        """Report what is wrong with the part, or with one of its keys."""
        self.problems.add((*self.path, *keys), message)

    def _called(self, key: str) -> str:
        """The name to call a key by: the value of a custom property goes by the property's name."""
        return str(self.value.get("property", key)) if key == "value" else key

    def text(self, key: str, *, required: bool = False) -> str | None:
        """Return a text."""
        value = self.value.get(key)
        if value is None:
            if required:
                self.problem(f"{self._called(key)} is missing", key)
            return None
        if not isinstance(value, str):
            self.problem(f"{self._called(key)} must be text: put it in quotes", key)
            return None
        if required and not value.strip():
            self.problem(f"{self._called(key)} is empty", key)
            return None
        return value

    def flag(self, key: str) -> bool:
        """Return a truth value, False where it is not given."""
        value = self.value.get(key, False)
        if not isinstance(value, bool):
            self.problem(f"{self._called(key)} must be true or false", key)
            return False
        return value

    def whole(self, key: str, low: int, high: int) -> int | None:
        """Return a whole number of [low, high]."""
        value = self.value.get(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            self.problem(f"{self._called(key)} must be a whole number from {low} to {high}", key)
            return None
        return value

    def share(self, key: str, default: float) -> float:
        """Return a number of [0, 1]."""
        value = self.value.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            self.problem(f"{self._called(key)} must be a share from 0 to 1", key)
            return default
        return float(value)

    def part(self, key: str) -> Part:
        """Return the mapping under a key, an empty one where it is not given."""
        value = self.value.get(key)
        if value is not None and not isinstance(value, dict):
            self.problem(f"{self._called(key)} must be a mapping", key)
        return Part(self.problems, value if isinstance(value, dict) else {}, (*self.path, key))

    def parts(self, key: str) -> list[Part]:
        """Return the mappings of the list under a key."""
        value = self.value.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.problem(f"{key} must be a list", key)
            return []
        out = []
        for i, item in enumerate(value):
            if isinstance(item, dict):
                out.append(Part(self.problems, item, (*self.path, key, i)))
            else:
                self.problem(f"each of {key} must be a mapping", key, i)
        return out

    def terms(self, known: frozenset[str]) -> dict[str, Part]:
        """The custom properties ``onedoor.*`` by name, each as the part that holds its ``value``."""
        out: dict[str, Part] = {}
        for part in self.parts("customProperties"):
            name = part.value.get("property")
            if not isinstance(name, str) or not name.startswith("onedoor."):
                continue
            if name not in known:
                part.problem(f"{name} is no term of this place; expected one of {', '.join(sorted(known))}")
            elif name in out:
                part.problem(f"{name} stands twice")
            elif part.value.get("value") is None:
                part.problem(f"{name} has no value")
            else:
                out[name] = part
        return out

    def only(self, known: tuple[str, ...], what: str) -> None:
        """Report keys that are not known. ``what`` names the part."""
        for key in self.value:
            if key not in known:
                self.problem(f"{key!r} is unknown in {what}; expected {', '.join(known)}", key)
