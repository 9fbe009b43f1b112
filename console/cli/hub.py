"""What commands that ask the hub share: the hub of the data folder, a contract's file, an instant as people here read it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from schemas.clock import CHINA
from schemas.errors import Fault, RejectedError

if TYPE_CHECKING:
    from catalog_registry.acting import Sight
    from exchange.bootstrap import Hub

_MAX_CONTRACT_BYTES = 4 << 20

As = Annotated[
    str | None, typer.Option("--as", help="Who asks: name, id or client id of a principal; default: the console, sees all.")
]
"""The option of a command that shows what the named principal may see."""


@contextmanager
def opened() -> Iterator[Hub]:
    """Give the hub of the data folder, closed with the block."""
    from exchange.bootstrap import open_hub
    from exchange.settings import load_settings

    hub = open_hub(load_settings())
    try:
        yield hub
    finally:
        hub.close()


def sees(hub: Hub, who: str | None) -> Sight:
    """Return what somebody may see; the console itself, where nobody is named, sees everything."""
    from catalog_registry.acting import Sight, sight

    return Sight(everything=True, department=None) if who is None else sight(hub.registry.principal(who))


def contract_text(file: Path) -> str:
    """Return the text of a contract's file.

    Raises:
        RejectedError: it cannot be read, is no UTF-8, or is larger than any contract.
    """
    try:
        if file.stat().st_size > _MAX_CONTRACT_BYTES:
            raise RejectedError(
                "the file is above 4 MiB, which no contract is", code="contract.size", where=str(file), fault=Fault.CLIENT
            )
        return file.read_text("utf-8")
    except OSError as error:
        raise RejectedError(
            f"the file cannot be read: {(error.strerror or 'unknown').lower()}",
            code="contract.file",
            where=str(file),
            fault=Fault.CLIENT,
        ) from error
    except UnicodeDecodeError as error:
        raise RejectedError("the file is not UTF-8", code="contract.encoding", where=str(file), fault=Fault.CLIENT) from error


def local(at: datetime) -> str:
    """Return an instant as people here read it."""
    return f"{at.astimezone(CHINA):%Y-%m-%d %H:%M}"


def acts() -> str:
    """Return who acts on the console: the account of the operating system."""
    import getpass

    return f"console:{getpass.getuser()}"


def instant(text: str, option: str) -> datetime:
    """Return an instant; a text without an offset, and a day, is China's."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{option} {text[:40]!r} is no instant: 2027-01-01 or 2027-01-01T08:00:00+08:00") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=CHINA)
