"""What commands print: an answer for a person or as JSON, progress on a terminal, errors in one line or as a problem."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from schemas.errors import OneDoorError
from schemas.secret import Secret

if TYPE_CHECKING:
    from rich.console import Console

Json = Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")]
"""The option that every command takes: ``def command(as_json: Json = False) -> None``."""

TITLES: Mapping[str, str] = {
    "transient": "not possible now",
    "rejected": "cannot be used",
    "denied": "not allowed",
    "defect": "must not happen",
}


_FILE_COLUMNS = 400
"""The width of what goes into a file or a pipe, so that a row of a table stays a line."""

_FOLDED = 1.25
"""How much wider than the terminal a table may be and still be one, with some cells folded."""


def show(value: Any, *, as_json: bool, text: str | Callable[[], Any] | None = None) -> None:
    """Print a command's answer on standard output.

    Args:
        value: the answer as data: what ``json`` knows, dataclasses, instants, enums, paths.
        as_json: print ``value`` as JSON, else ``text``.
        text: for a person: a text, or a function that makes one or something that Rich prints; default: the fields.
    """
    if as_json:
        sys.stdout.write(to_json(value) + "\n")
        return
    shown = text() if callable(text) else text
    if shown is None:
        shown = _fields(value)
    if isinstance(shown, str):
        sys.stdout.write(shown.rstrip("\n") + "\n")
    else:
        _console().print(shown)


def to_json(value: Any) -> str:
    """Return a value as JSON in a stable form; a secret is not printed."""
    return json.dumps(value, ensure_ascii=False, indent=2, default=_plain)


def table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, title: str | None = None) -> Any:
    """Return a table for a person; numbers stand right. On a terminal that is much too narrow each row is a block of lines."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False)
    for place, name in enumerate(columns):
        numbers = bool(rows) and all(isinstance(row[place], int | float) and not isinstance(row[place], bool) for row in rows)
        made.add_column(name, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(_cell(value)) for value in row))
    return _Fitting(made, columns, rows, title) if rows else made


@dataclasses.dataclass(frozen=True)
class _Fitting:
    """A table where it fits, or nearly; else a block of lines for each row, as its cells would be folded beyond reading."""

    table: Any
    columns: Sequence[str]
    rows: Sequence[Sequence[object]]
    title: str | None

    def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
        from rich.measure import Measurement

        wide = Measurement.get(console, options.update(width=_FILE_COLUMNS, max_width=_FILE_COLUMNS), self.table).maximum
        yield self.table if wide <= options.max_width * _FOLDED else self._blocks()

    def _blocks(self) -> Any:
        from rich.padding import Padding
        from rich.table import Table
        from rich.text import Text

        made = Table.grid(padding=(0, 2))
        made.title, made.title_justify = self.title, "left"
        made.add_column(no_wrap=True)
        made.add_column(overflow="fold")
        for row in self.rows:
            for place, (name, value) in enumerate(zip(self.columns, row, strict=True)):
                if text := _cell(value):
                    made.add_row(Text(name if place == 0 else f"  {name}"), Text(text))
            made.add_row("", "")
        return Padding(made, (1, 0, 0, 1))


def say(line: str) -> None:
    """Print a line on standard error: what goes on, never a part of the answer."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


@contextmanager
def progress(what: str, *, quiet: bool = False) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that long work goes on; the block gets a function that changes the words. Silent elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield lambda _: None
        return
    with _console(stderr=True).status(what) as status:
        yield status.update


def problem(error: OneDoorError) -> dict[str, str]:
    """Return an error as an RFC 9457 problem with the house's members, absent ones left out."""
    members = {
        "type": f"urn:onedoor:problem:{error.code}",
        "title": TITLES[error.kind],
        "detail": error.message,
        "code": error.code,
        "where": error.where,
        "remedy": error.remedy,
        "fault": str(error.fault),
    }
    return {name: text for name, text in members.items() if text is not None}


def run(app: typer.Typer, argv: Sequence[str]) -> int:
    """Run the command line and return its exit code: 0 done, 1 refused or failed with a message, 2 usage.

    This is the boundary of the process: no exception passes it, and none is printed with values.
    """
    as_json = "--json" in argv
    try:
        code = app(args=list(argv), prog_name="onedoor", standalone_mode=False)
    except OneDoorError as error:
        _tell(problem(error), f"error: {error}", as_json)
        return 1
    except typer.Abort:
        say("stopped")
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the process boundary
        if _is_usage(error):
            return _usage(error, as_json)
        return _unexpected(error, as_json)
    if code == 130:
        say("stopped")
        return 1
    return code if isinstance(code, int) else 0


def _is_usage(error: Exception) -> bool:
    return getattr(error, "exit_code", None) is not None and hasattr(error, "format_message")


def _usage(error: Any, as_json: bool) -> int:
    members = {
        "type": "urn:onedoor:problem:cli.usage",
        "title": "usage",
        "detail": error.format_message(),
        "code": "cli.usage",
        "fault": "client",
    }
    command = error.ctx.command_path if getattr(error, "ctx", None) else "onedoor"
    _tell(members, f"usage: {error.format_message().rstrip('.')}; see {command} --help", as_json)
    return 2


def _unexpected(error: Exception, as_json: bool) -> int:
    log = _write_traceback(error)
    members = {
        "type": "urn:onedoor:problem:cli.unexpected",
        "title": TITLES["defect"],
        "detail": f"unexpected {type(error).__name__}",
        "code": "cli.unexpected",
        "fault": "hub",
    }
    remedy = f"the place is in {log}" if log else "run again with a writable data folder to keep the place"
    _tell(members | {"remedy": remedy}, f"error: unexpected {type(error).__name__}; {remedy}", as_json)
    return 1


def _write_traceback(error: BaseException) -> Path | None:
    """Write places and types, never messages: a driver's message may hold a row."""
    lines: list[str] = []
    seen: BaseException | None = error
    while seen is not None:
        lines += [*traceback.format_tb(seen.__traceback__), f"{type(seen).__module__}.{type(seen).__qualname__}\n"]
        seen = seen.__cause__ or (None if seen.__suppress_context__ else seen.__context__)
    folder = Path(os.environ.get("ONEDOOR_HOME", ".onedoor")).absolute() / "logs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "cli.log").open("a", encoding="utf-8") as log:
            log.write("".join(lines) + "\n")
    except OSError:
        return None
    return folder / "cli.log"


def _tell(members: Mapping[str, str], line: str, as_json: bool) -> None:
    say(json.dumps(members, ensure_ascii=False) if as_json else " ".join(line.split()))


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, soft_wrap=not terminal, width=None if terminal else _FILE_COLUMNS)


def _plain(value: object) -> object:
    if isinstance(value, Secret):
        return repr(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: getattr(value, f.name) for f in dataclasses.fields(value) if f.repr}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not for JSON")


def _fields(value: Any) -> Any:
    plain = json.loads(to_json(value))
    if isinstance(plain, dict):
        return "\n".join(f"{name}: {_cell(member)}" for name, member in plain.items())
    if isinstance(plain, list) and plain and all(isinstance(row, dict) for row in plain):
        columns = list(dict.fromkeys(name for row in plain for name in row))
        return table(columns, [[row.get(name) for name in columns] for row in plain])
    return _cell(plain) if plain not in (None, []) else "nothing"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=_plain)
