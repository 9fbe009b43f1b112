"""Holds ``docs/promises.toml`` against the tests: each named test must exist and run. The page for people is made of it.

``python -m tests.architecture.promises`` checks and writes ``docs/reference/promises.md``; ``--check`` only checks.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
SOURCE = ROOT / "docs" / "promises.toml"
PAGE = ROOT / "docs" / "reference" / "promises.md"
FORBIDDEN = ("skip", "skipif", "xfail")


@dataclass(frozen=True, slots=True)
class Promise:
    """One promise in the users' words. ``gap`` says what is not proved yet: alone "not yet", beside tests "in part"."""

    id: str
    issue: int
    words: str
    tests: tuple[str, ...] = ()
    gap: str = ""

    @property
    def state(self) -> str:
        """Return how far it is proved."""
        if self.tests:
            return "in part" if self.gap else "proved by a test"
        return "not yet"


def read(path: Path = SOURCE) -> list[Promise]:
    """Return the promises, in the file's order."""
    return [
        Promise(p["id"], p["issue"], p["words"], tuple(p.get("tests", ())), p.get("gap", ""))
        for p in tomllib.loads(path.read_text("utf-8"))["promise"]
    ]


def problems(promises: Sequence[Promise], root: Path = ROOT) -> Iterator[str]:
    """Yield what is wrong: an id twice, no test and no gap, a test that is not there or is marked not to count."""
    seen: set[str] = set()
    for promise in promises:
        if promise.id in seen:
            yield f"{promise.id}: the id stands twice"
        seen.add(promise.id)
        if not promise.tests and not promise.gap:
            yield f"{promise.id}: names no test, and no gap"
        for test in promise.tests:
            fault = test_problem(test, root)
            if fault:
                yield f"{promise.id}: {test} {fault}"


def test_problem(test: str, root: Path) -> str:
    """Return why ``path::[Class::]function`` cannot prove anything, or an empty text."""
    path, *names = test.split("::")
    file = root / path
    if not file.is_file() or not names:
        return "is not there"
    body: Sequence[ast.stmt] = ast.parse(file.read_text("utf-8")).body
    module_marks = [
        n.value for n in body if isinstance(n, ast.Assign) and any(ast.unparse(t) == "pytestmark" for t in n.targets)
    ]
    if any(word in ast.unparse(m) for m in module_marks for word in FORBIDDEN):
        return "is in a module marked skipped or expected to fail"
    node: Any = None
    for name in names:
        node = next(
            (n for n in body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and n.name == name), None
        )
        if node is None:
            return "is not there"
        if any(f"mark.{word}" in ast.unparse(d) for d in node.decorator_list for word in FORBIDDEN):
            return "is marked skipped or expected to fail"
        body = node.body
    return ""


test_problem.__test__ = False  # type: ignore[attr-defined]


def page(promises: Sequence[Promise]) -> str:
    """Return the page: every promise, how far it is proved, and by what."""
    counts = {state: sum(p.state == state for p in promises) for state in ("proved by a test", "in part", "not yet")}
    lines = [
        "# Promises",
        "",
        "Generated from `docs/promises.toml` by `make promises`.",
        "",
        "; ".join(f"{state}: {count}" for state, count in counts.items()) + ".",
        "",
        "| Promise | State | Proof, or what is missing |",
        "|---|---|---|",
    ]
    for p in promises:
        proof = "<br>".join(f"`{t}`" for t in p.tests)
        if p.gap:
            proof += ("<br>" if proof else "") + p.gap
        lines.append(f"| {p.words.replace('|', chr(92) + '|')} | {p.state} | {proof} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Check, and write or compare the page."""
    promises = read()
    faults = list(problems(promises))
    text = page(promises)
    if "--check" in sys.argv and (not PAGE.exists() or PAGE.read_text("utf-8") != text):
        faults.append(f"{PAGE.relative_to(ROOT)} is stale: run make promises and commit it")
    elif "--check" not in sys.argv:
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(text, "utf-8")
    for fault in faults:
        sys.stderr.write(fault + "\n")
    sys.stdout.write(f"{len(promises)} promises; {text.splitlines()[4]}\n")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
