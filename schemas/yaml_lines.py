"""YAML as plain values, with the line of every part, so that an error can name its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Path = tuple[str | int, ...]

MAX_CHARACTERS = 2_000_000
MAX_PARTS = 200_000


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and the 1-based line where."""

    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Lined:
    """A YAML text as plain values; ``lines`` gives the 1-based line of each part by its path."""

    value: Any
    lines: Mapping[Path, int]
    problems: tuple[Problem, ...]

    def line(self, path: Path) -> int:
        """Return the line of the part, or of the nearest part above it that is there."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)


@dataclass(slots=True)
class _Build:
    scalar: Any
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    parts: int = 0

    def plain(self, node: Any, path: Path, above: tuple[int, ...]) -> Any:
        from ruamel.yaml.nodes import MappingNode, SequenceNode

        self.parts += 1
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        if id(node) in above or self.parts > MAX_PARTS or len(above) > 60:
            self.problems.append(Problem(line, "the document is too deep, too large or contains itself"))
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, path, (*above, id(node)))
        if isinstance(node, SequenceNode):
            return [self.plain(child, (*path, i), (*above, id(node))) for i, child in enumerate(node.value)]
        if node.tag == "tag:yaml.org,2002:timestamp":
            return node.value
        try:
            return self.scalar(node)
        except Exception as error:  # noqa: BLE001 - a tag that YAML's own loader refuses, of whatever kind
            self.problems.append(Problem(line, f"the value cannot be read as {node.tag}: {type(error).__name__}"))
            return None

    def _mapping(self, node: Any, path: Path, above: tuple[int, ...]) -> dict[str, Any]:
        out: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = key_node.value if isinstance(key_node.value, str) else None
            if key is None or key_node.tag == "tag:yaml.org,2002:merge":
                self.problems.append(Problem(line, "a key must be plain text, and merge keys are not taken"))
                continue
            if key in out:
                self.problems.append(Problem(line, f"the key {key!r} stands twice in the same part"))
                continue
            self.lines[(*path, key)] = line
            out[key] = self.plain(value_node, (*path, key), above)
        return out


def read_lines(text: str) -> Lined:
    """Return the text's one document as plain values (dict, list, str, int, float, bool, None); a date stays text.

    Where the text is no YAML at all, ``value`` is None and ``problems`` says why.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if len(text) > MAX_CHARACTERS:
        return Lined(None, {}, (Problem(1, f"the text is longer than {MAX_CHARACTERS} characters"),))
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or "it cannot be parsed"
        return Lined(None, {}, (Problem(mark.line + 1 if mark else 1, f"not YAML: {why}"),))
    if node is None:
        return Lined(None, {}, (Problem(1, "the document is empty"),))
    build = _Build(YAML(typ="safe", pure=True).constructor.construct_object)
    value = build.plain(node, (), ())
    return Lined(value, build.lines, tuple(build.problems))
