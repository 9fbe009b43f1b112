"""Renders the pages of ``docs/reference`` from the code, so that they cannot say anything else than it does.

``python -m tests.architecture.reference`` writes them; ``--check`` only compares and names each page that is stale.
``promises.md`` is made by ``tests.architecture.promises``.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from benchmarks.page import render as render_benchmarks

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "docs" / "reference"
GOLDEN: Final = ROOT / "tests" / "golden"
PACKAGES: Final = ("schemas", "connectors", "quality", "catalog_registry", "exchange", "console", "dags")
KINDS: Final = {
    "TransientError": "transient",
    "RejectedError": "rejected",
    "DeniedError": "denied",
    "DefectError": "defect",
    "problem": "HTTP",
    "_denied": "denied",
    "Life": "rejected",
}
_CODE: Final = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*")
_SETTINGS: Final = """
A setting is taken from the environment, else from `onedoor.toml` in the data folder, else from what `onedoor up` wrote to
`state.json` there (ports and passwords that it made), else the default holds. An unknown name or a value of the wrong kind
is refused (`settings.value`), and so is a file that is not TOML (`settings.toml`).

```toml
# .onedoor/onedoor.toml
api_port = 8000
log_level = "warning"
```
""".strip()
_CLI: Final = """
Every command takes `--help`, and those that answer take `--json`. Exit codes: 0 done, 1 refused or failed with a message
on standard error, 2 usage. `ONEDOOR_HOME` names the data folder, by default `.onedoor` in the working directory.
""".strip()
_ERRORS: Final = """
A code is stable; test it, not the words. The kind says what is done about it: **transient**, tried again by Airflow or the
worker; **rejected**, its owner must mend something; **denied**, recorded and stopped; **defect**, somebody must look.
Over HTTP they are RFC 9457 problem documents with the status 503, 400, 403 and 500 (401 for a token or a client, 413 and
415 for a body). … stands for what the message names. Codes that are put together at run time are not listed.
""".strip()
_RUN: Final = """
`onedoor collect --json`, `runs --json` and `show --json` print it. Once a run is proved,
`rows_read = rows_landed + rows_set_aside` and `rows_landed = rows_inserted + rows_changed + rows_unchanged`.
""".strip()
_REMINDS: Final = {"half": "at half", "last": "one working day before"}
_LATE: Final = {"escalate": "the centre is told; nothing is granted or refused by itself"}
_CLOCKS: Final = """
Where half of the days and the day before the last are the same day, there is one reminder; a clock of one day reminds on that
day. Where the wording of a source was not read, set the days and your own source before anybody is held to them.
""".strip()
_CLOCKS_SET: Final = """
`catalog_registry.clocks.load` reads a file in which a deployment sets the days of a rule, with their source. An unknown rule,
an unknown key and a wrong value are refused (`clocks.rules`); where `verified` is left out, the wording was not read.

```toml
["correction.answer"]
workdays = 5
source = "曲江区政务数据共享管理办法第十二条"
verified = true
```

Late, the centre is told and nothing else follows. Where a deployment's own law orders more, `late` names the outcome
(`accept_check` or `return` of a check, `approve` or `refuse` of an answer), `late_source` what orders it, and `late_as` the
account in whose name it is taken, which needs the role for that step and is bound by every rule of it. Without both it is
refused.

```toml
["application.accept_check"]
workdays = 2
source = "曲江区政务数据共享管理办法第八条"
late = "return"
late_source = "曲江区政务数据共享管理办法第九条"
late_as = "centre.officer"
```
""".strip()
_NOTE: Final = "Generated from the code by `make docs`; do not edit."


def main() -> int:
    """Write the pages, or compare them."""
    stale = []
    for name, text in pages().items():
        path = FOLDER / name
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        elif not path.exists() or path.read_text("utf-8") != text:
            stale.append(f"{path.relative_to(ROOT)} is stale: run make docs and commit it")
    sys.stderr.write("".join(line + "\n" for line in stale))
    return 1 if stale else 0


def pages() -> dict[str, str]:
    """Return the text of each generated page, by its file name."""
    makers: dict[str, Callable[[], str]] = {
        "settings.md": settings_page,
        "cli.md": cli_page,
        "connectors.md": connectors_page,
        "codes.md": codes_page,
        "contract.md": contract_page,
        "clocks.md": clocks_page,
        "errors.md": errors_page,
        "forms.md": forms_page,
        "permissions.md": permissions_page,
        "openapi.json": openapi_document,
        "benchmarks.md": lambda: render_benchmarks(ROOT / "benchmarks" / "results"),
    }
    return {name: make() for name, make in makers.items()}


def _page(title: str, *parts: str) -> str:
    return "\n\n".join((f"# {title}", _NOTE, *(p.rstrip() for p in parts))) + "\n"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(c) for c in row) + " |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


# Settings ---------------------------------------------------------------------------------------------------------------


def settings_page() -> str:
    """Return the page of settings."""
    from exchange.settings import Settings

    rows = []
    for name, made in Settings.model_fields.items():
        kind = made.annotation.__name__ if isinstance(made.annotation, type) else str(made.annotation)
        kind = kind.replace("typing.", "").replace("pathlib.", "")
        default = "(empty)" if made.default == "" else "–" if made.default is None else f"`{made.default}`"
        rows.append((f"`{name}`", f"`ONEDOOR_{name.upper()}`", f"`{kind}`", default, made.description or ""))
    return _page(
        "Settings",
        _SETTINGS,
        _table(("Name", "Environment", "Type", "Default", "What it says"), rows),
    )


# Command line -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command:
    """A command as a person types it, its help, and its parameters."""

    words: str
    help: str
    parameters: tuple[Any, ...] = ()
    children: tuple[Command, ...] = field(default=())

    def all(self) -> Iterator[Command]:
        """Yield the command and those below it."""
        yield self
        for child in self.children:
            yield from child.all()


def command_tree() -> Command:
    """Return the whole command line."""
    from typer.main import get_command

    from console.cli.main import build

    def walk(found: Any, words: str) -> Command:
        below = getattr(found, "commands", {})
        children = tuple(walk(c, f"{words} {n}") for n, c in sorted(below.items()) if not c.hidden)
        shown = tuple(p for p in found.params if not getattr(p, "hidden", False) and p.name not in _COMPLETION)
        return Command(words, inspect.cleandoc(found.help or ""), shown, children)

    return walk(get_command(build()), "onedoor")


_COMPLETION: Final = ("install_completion", "show_completion")


def cli_page() -> str:
    """Return the page of commands."""
    parts = [_CLI]
    for command in command_tree().all():
        if command.words == "onedoor":
            continue
        parts.append(f"{'##' if command.words.count(' ') == 1 else '###'} `{command.words}`")
        text = re.sub(r"\n*^Example: ((?:.|\n)*)", r"\n\n```sh\n\1\n```", command.help, flags=re.MULTILINE)
        text = re.sub(r"(?s)```sh\n(.*?)\n```", lambda m: "```sh\n" + " ".join(m[1].split()) + "\n```", text)
        parts.append(text.strip())
        rows = [_parameter(p) for p in command.parameters]
        if rows:
            parts.append(_table(("Parameter", "What it says", "Default"), rows))
    return _page("Commands", *parts)


def _parameter(found: Any) -> tuple[str, str, str]:
    names = "/".join((*found.opts, *(getattr(found, "secondary_opts", None) or ())))
    if not found.opts[0].startswith("-"):
        names = found.opts[0].upper()
    default = found.default
    plain = "required" if found.required else "" if default is None or default in (False, "", ()) else f"`{default}`"
    if callable(default):
        plain = ""
    return f"`{names}`", getattr(found, "help", None) or "", plain


# Connectors, codes, the contract's terms -----------------------------------------------------------------------------------


def connectors_page() -> str:
    """Return the page of connectors."""
    from connectors.registry import specs

    parts = [
        "A source is opened by the scheme of its URL. The docstrings of the port, `connectors.api.Source`, are the contract."
    ]
    for spec in specs():
        can = [f.name for f in dataclasses.fields(spec.capabilities) if getattr(spec.capabilities, f.name)]
        schemes = ", ".join(f"`{s}://`" for s in spec.schemes)
        parts += [
            f"## {spec.name}",
            f"{spec.summary} URL schemes: {schemes}. Can at most: {', '.join(can)}; `source add` says what an account can.",
            inspect.cleandoc(spec.settings.__doc__ or "").replace("``", "`"),
        ]
        rows = [(f"`{f.name}`", f"`{f.default}`") for f in dataclasses.fields(spec.settings) if f.name != "url"]
        if rows:
            parts.append(_table(("Setting", "Default"), rows))
    return _page("Connectors", *parts)


def codes_page() -> str:
    """Return the page of codes."""
    from schemas.codes import CODES

    rows = [(f"`{c.name}`", c.title, (c.valid.__doc__ or "").split("\n\n")[0]) for c in CODES.values()]
    return _page(
        "Codes",
        "A contract names one of these in `onedoor.code` of a field. The rule `code.<name>` sets aside what fails.",
        _table(("Name", "What it is", "What is decided"), rows),
    )


def contract_page() -> str:
    """Return the page of a contract's terms."""
    import schemas.odcs
    from quality import checks
    from schemas.contract import CursorSpec, Limits, Normalise

    source = (ROOT / "schemas" / "contract.py").read_text("utf-8")
    said = dict(re.findall(r'^    [A-Z0-9_]+ = "(\w+)"  # (.+)$', source, re.MULTILINE))
    repairs = [(f"`{n.value}`", said.get(n.value, f"all letters to {n.value} case")) for n in Normalise]
    return _page(
        "Terms of a contract",
        "A contract is YAML of the Open Data Contract Standard (ODCS) 3.1. `onedoor draft` writes one from a table.",
        "## Where each term stands",
        _grid(schemas.odcs.__doc__ or "", ("Term", "Place")),
        "## Repairs that a field may name in `onedoor.normalise`",
        "They are made before the value is read as its type. What still does not fit is set aside, never guessed.",
        _table(("Repair", "What it does"), repairs),
        "## Rules that set a row aside",
        "`type`: the value cannot be read as the field's type. The others:",
        _grid(checks.__doc__ or "", ("Rule", "Asked of", "A value passes where")),
        "Over the whole set, before the swap or the merge: `duplicate_key` (all rows of a duplicate are set aside) and\n"
        "`parent_exists`. A row whose message would be above 900 KiB is set aside by the rule `too_large`.",
        "## Cursor and limits",
        inspect.cleandoc(CursorSpec.__doc__ or "").replace("``", "`"),
        inspect.cleandoc(Limits.__doc__ or "").replace("``", "`")
        + f" Defaults: `bad` {Limits().bad}, `shrink` {Limits().shrink}; `overlap_s` {CursorSpec('').overlap_s}.",
    )


def _grid(docstring: str, head: tuple[str, ...]) -> str:
    """Return the first table of a docstring, drawn with lines of ``=``, as Markdown."""
    lines = inspect.cleandoc(docstring).splitlines()
    rules = [i for i, line in enumerate(lines) if re.fullmatch(r"=+( +=+)+", line)]
    starts = [m.start() for m in re.finditer(r"=+", lines[rules[0]])]
    body = lines[rules[-2] + 1 : rules[-1]]
    rows: list[list[str]] = []
    for line in body:
        cells = [line[a:b].strip() for a, b in zip(starts, [*starts[1:], None], strict=True)]
        if cells[0]:
            rows.append(cells)
        else:
            rows[-1] = [f"{old} {new}".strip() for old, new in zip(rows[-1], cells, strict=True)]
    return _table(head, [tuple(cell.replace("``", "`") for cell in row) for row in rows])


# Clocks -----------------------------------------------------------------------------------------------------------------


def clocks_page() -> str:
    """Return the page of clock rules."""
    from catalog_registry import clocks
    from schemas import workdays

    rows = [
        (
            f"`{rule.id}`",
            f"{rule.about_zh}: {rule.about}",
            str(rule.workdays),
            ", ".join(f"`{state}`" for state in rule.paused_in) or "–",
            ", ".join(_REMINDS[kind] for kind in rule.reminders) or "–",
            _LATE[rule.late],
            rule.source,
            "yes" if rule.verified else "no: commonly stated, wording not read",
        )
        for rule in clocks.rules().values()
    ]
    head = ("Rule", "What it measures", "Working days", "Paused in", "Reminds", "When late", "Source", "Verified")
    return _page(
        "Clocks",
        inspect.cleandoc(clocks.__doc__ or ""),
        _table(head, rows),
        _CLOCKS,
        "## Days that a deployment sets",
        _CLOCKS_SET,
        "## Working days",
        _doc(workdays),
    )


# Errors -----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class Raised:
    """One place that raises a stable code."""

    code: str
    kind: str
    file: str
    message: str
    remedy: str


def raised() -> list[Raised]:
    """Return every place of the source that raises an error with a literal code."""
    found = set()
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text("utf-8"))
            for node, owner in _calls(tree):
                made = _raised(node, owner, path.relative_to(ROOT).as_posix())
                if made is not None:
                    found.add(made)
    return sorted(found | set(_said_by_postgresql()))


def _said_by_postgresql() -> Iterator[Raised]:
    """Yield the errors that a table of SQLSTATEs makes."""
    from connectors.impl.postgres import faults

    file = "connectors/impl/postgres/faults.py"
    for kind, table in (
        ("rejected", faults._REJECTED | faults._REJECTED_CLASSES | {"": faults._OTHER}),
        ("transient", faults._TRANSIENT | faults._TRANSIENT_CLASSES),
    ):
        for code, message, remedy in table.values():
            yield Raised(f"source.{code}", kind, file, message, remedy or "")


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, str]]:
    owners = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for inner in ast.walk(node):
                owners[inner] = next((b.id for b in node.bases if isinstance(b, ast.Name)), "")
        if isinstance(node, ast.Call):
            yield node, owners.get(node, "")


def _raised(node: ast.Call, owner: str, file: str) -> Raised | None:
    name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr if isinstance(node.func, ast.Attribute) else ""
    given = {k.arg: k.value for k in node.keywords}
    code = given.get("code")
    message = node.args[0] if node.args else None
    if name == "problem" and len(node.args) > 2:
        code, message = node.args[1], node.args[2]
    if name == "_denied" and len(node.args) > 1:
        code, message = node.args[0], node.args[1]
    text = code.value if isinstance(code, ast.Constant) and isinstance(code.value, str) else ""
    if not _CODE.fullmatch(text):
        return None
    kind = KINDS.get(owner if name == "__init__" else name, "")
    words = f"… is not for {_words(message)} that is …" if name == "Life" else _words(message)
    return Raised(text, kind, file, words, _words(given.get("remedy"))) if kind else None


def _words(node: ast.expr | None) -> str:
    """Return a text as the source has it, with … for what is put in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(_words(v) for v in values)
        case ast.FormattedValue():
            return "…"
    return ""


def errors_page() -> str:
    """Return the page of error codes."""
    rows: dict[tuple[str, str], list[Raised]] = defaultdict(list)
    for one in raised():
        rows[one.code, one.kind].append(one)
    lines = [
        (
            f"`{code}`",
            kind,
            " / ".join(dict.fromkeys(o.message for o in places if o.message)).replace("<", "\\<"),
            " / ".join(dict.fromkeys(o.remedy for o in places if o.remedy)).replace("<", "\\<"),
            ", ".join(dict.fromkeys(f"`{o.file}`" for o in places)),
        )
        for (code, kind), places in sorted(rows.items())
    ]
    return _page(
        "Error codes",
        _ERRORS,
        _table(("Code", "Kind", "Message", "What to do", "Raised in"), lines),
    )


# Forms and the API --------------------------------------------------------------------------------------------------------


def forms_page() -> str:
    """Return the page of frozen forms, with the golden files as examples."""
    from exchange.bus import envelope
    from exchange.trust import checkpoint, record, seal
    from schemas import canonical, landed

    names = _golden("schemas/names.json")
    rows = _golden("schemas/rows.json")["rows"][:3]
    refused = ", ".join(f"`{n}`" for n, good in names["accepted"].items() if not good and n and n.isprintable())
    shown = [(f"`{r['bytes'].replace(chr(31), '␟')}`", f"`{r['hash']}`") for r in rows]
    columns = [(f"`{name}`", f"`{kind}`") for name, kind in _golden("schemas/landed.json")["personal key"]["sql"]]
    ledger = _golden("trust/ledger.json")
    return _page(
        "Forms that every part reads",
        "Each is frozen by a file in `tests/golden`: a change of a form changes that file, and a person reads the difference.",
        "## Name of a resource",
        f"`[a-z][a-z0-9_]{{0,47}}`, immutable. Refused, for example: {refused}. Topics: "
        + ", ".join(f"`{t}`" for t in names["topics"])
        + ".",
        "## Envelope",
        _doc(envelope),
        _json(_golden("envelope.json")["rows"]),
        "## Canonical text of a row, and its hash",
        _doc(canonical),
        _table(("Row (U+001F shown as ␟)", "Hash"), shown),
        "## Landed table",
        _doc(landed),
        "A resource of one personal field, its key:",
        _table(("Column", "PostgreSQL type"), columns),
        "## Sealed row, value and chunk",
        _doc(seal),
        _json(_golden("trust/sealed_rows.json")["rows"][0]),
        "## Ledger record",
        _doc(record),
        _json(json.loads(ledger["lines"][1][0])),
        "## Checkpoint",
        _doc(checkpoint),
        "## JSON of a run",
        _RUN,
        _json(_golden("runs/run.json")["proved"]),
    )


def _golden(name: str) -> Any:
    return json.loads((GOLDEN / name).read_text("utf-8"))


def _json(value: object) -> str:
    return "```json\n" + json.dumps(value, ensure_ascii=False, indent=2) + "\n```"


def _doc(module: Any) -> str:
    """Return a module's docstring as Markdown; a table of it, drawn with lines of ``=``, stays as it was drawn."""
    text = inspect.cleandoc(module.__doc__ or "")
    parts = re.split(r"(?ms)^(=+(?: +=+)+\n.*\n=+(?: +=+)+)$", text)
    return "".join(f"```text\n{p}\n```" if i % 2 else p.replace("``", "`") for i, p in enumerate(parts)).strip()


_PERMISSIONS: Final = """
Any one of the roles named is enough. *own* means: only where the thing is the account's own department's. Without a token that
is good there is no answer (401), but where it says that no token is asked for. What somebody may not know of is answered as
what there is not. A test holds each line against each role of the own and of other departments
(`tests/integration/test_permissions.py`).
""".strip()


def permissions_page() -> str:
    """Return the page of who may use which endpoint."""
    from exchange.api.app import create_app
    from exchange.api.registry_frame import Permission, permissions
    from exchange.settings import Settings

    def may(one: Permission) -> str:
        if not one.who:
            return "anybody, no token is asked for"
        named = [("every account" if d.role == "*" else f"`{d.role}`") + (" (own)" if d.own else "") for d in one.who]
        return ", ".join(named)

    parts: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for one in permissions(create_app(Settings(home=Path(".onedoor")))):
        parts[one.tag].append((f"`{one.method} {one.path}`", one.summary, may(one), one.note))
    head = ("Endpoint", "What it does", "Who may", "And")
    tables = [text for tag, rows in sorted(parts.items()) for text in (f"## {tag.capitalize()}", _table(head, rows))]
    return _page("Who may use which endpoint", _PERMISSIONS, *tables)


def openapi_document() -> str:
    """Return the API's OpenAPI document."""
    from exchange.api.app import create_app
    from exchange.settings import Settings

    document: Mapping[str, Any] = create_app(Settings(home=Path(".onedoor"))).openapi()
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


if __name__ == "__main__":
    raise SystemExit(main())
